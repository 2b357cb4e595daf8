"""Several processes: no wrapper around the network, only one function that averages gradients."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor, nn

__all__ = ["Processes", "agree", "average_gradients", "join_processes", "share_buffers"]


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is (rank 0 writes the run directory)."""

    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """Return this process' rows of what all processes have together: ``[rank::world]``."""
        return rows[self.rank :: self.world]

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes together, of which :meth:`share` returns these again.

        Args:
            rows: of this process, [n, ...]; every process has as many.
        """
        if self.world == 1:
            return rows
        found = [torch.empty_like(rows) for _ in range(self.world)]
        distributed.all_gather(found, rows.contiguous())
        return torch.stack(found, dim=1).flatten(0, 1)


def join_processes(device: str = "cpu") -> Processes:
    """Join the process group that the launcher (``torchrun``, ``accelerate launch``) described, if it did.

    Args:
        device: "cpu" joins by gloo, a GPU by nccl.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    return Processes(state.process_index, state.num_processes)


def average_gradients(gradients: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor | None]:
    """Average gradients of weights, choices or an unrolled step over all processes.

    With one process they are returned as they are. With several, a parameter without gradient counts as zero, and the
    tensors travel as one flat message per dtype.

    Args:
        gradients: one per parameter, None where this process has none.
        like: the parameters, for shapes.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return list(gradients)
    full = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, like, strict=True)]
    averaged: list[Tensor | None] = [None] * len(full)
    for dtype in sorted({g.dtype for g in full}, key=str):  # the same order in every process
        places = [index for index, g in enumerate(full) if g.dtype == dtype]
        flat = torch.cat([full[index].reshape(-1) for index in places])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        parts = flat.split([full[index].numel() for index in places])
        for index, part in zip(places, parts, strict=True):
            averaged[index] = part.view_as(full[index])
    return averaged


def agree(flag: bool) -> bool:
    """Return whether any process raised the flag, so that all of them stop at the same step."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    raised = torch.tensor(float(flag), device=device)
    distributed.all_reduce(raised, distributed.ReduceOp.MAX)
    return bool(raised.item())


def share_buffers(module: nn.Module) -> None:
    """Give every process the buffers (batch-norm statistics) of the first one."""
    if distributed.is_available() and distributed.is_initialized():
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)
