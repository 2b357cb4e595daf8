"""What each of two processes does in ``test_processes.py``: average gradients, then search; run as a script."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, not by pytest

import archgrad  # noqa: E402
from archgrad.processes import agree, average_gradients, join_processes, share_buffers  # noqa: E402


def averages(rank: int) -> dict[str, Any]:
    """Average gradients of several shapes and dtypes, some of them missing in one process or in both."""
    like = [torch.zeros(2, 3), torch.zeros(4), torch.zeros(2, dtype=torch.float64), torch.zeros(()), torch.zeros(1)]
    given: list[Tensor | None] = [
        torch.arange(6.0).view(2, 3) * (rank + 1),
        None if rank else torch.full((4,), 2.0),
        torch.tensor([1.0, 1e-12], dtype=torch.float64) * (rank + 1),
        torch.tensor(3.0 - 4 * rank),
        None,
    ]
    found = average_gradients(given, like)
    return {
        "values": [None if gradient is None else gradient.tolist() for gradient in found],
        "dtypes": [str(gradient.dtype) for gradient in found if gradient is not None],
        "agreed": [agree(False), agree(rank == 1), agree(True)],
    }


def shared(rank: int) -> list[float]:
    norm = nn.BatchNorm1d(3)
    norm.running_mean = torch.full((3,), 5.0 + rank)
    share_buffers(norm)
    return [float(value) for value in dict(norm.named_buffers())["running_mean"]]


def search(rank: int) -> dict[str, Any]:
    """Search on random images, second order, and describe what every process has at the end."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (60,), generator=generator)
    images = torch.rand(60, 1, 8, 8, generator=generator) * 0.5 + 0.4 * labels.view(-1, 1, 1, 1)
    seen: list[float] = []
    result = archgrad.search(
        "darts-second-order",
        data=(images, labels),
        epochs=1,
        device="cpu",
        metrics={},  # the loss alone: importing metrics takes longer than the search
        settings={
            "supernet.cells": 1,
            "supernet.channels": 2,
            "supernet.drop_path": 0.2,
            "space.nodes": 2,
            "data.batch": 8,
            "choices.rate": 0.1,
            "data.crop_padding": 0,
        },
        progress=lambda kind, state, record: seen.append(record["loss"]) if kind == "step" else None,
    )
    tensors = {**result.state.choices.state_dict(), **result.state.supernet.state_dict()}
    return {
        "architecture": result.architecture.to_json(),
        "numbers": {name: tensor.double().flatten().tolist() for name, tensor in tensors.items()},
        "losses": seen,
        "steps": result.state.step,
    }


def stopped(rank: int) -> str:
    """Search with a loss that is not finite in the second process alone; both have to stop."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return output.sum() * float("nan" if rank else "0")

    images, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % 2
    settings = {"supernet.cells": 1, "supernet.channels": 2, "space.nodes": 1, "data.batch": 8}
    try:
        archgrad.search("darts", data=(images, labels), epochs=1, loss=loss, metrics={}, settings=settings)
    except archgrad.RunError as error:
        return type(error).__name__
    return "went on"


if __name__ == "__main__":
    torch.set_num_threads(1)
    processes = join_processes("cpu")
    rank = processes.rank
    torch.manual_seed(100 + rank)  # the processes' own generators differ
    report = {"rank": rank, "world": processes.world, "main": processes.main, "averages": averages(rank)}
    together = processes.gather(torch.tensor([[1.0 + rank], [3.0 + rank]]))
    report |= {"gathered": [together.tolist(), processes.share(together).tolist()]}
    report |= {"shared": shared(rank), "search": search(rank), "stopped": stopped(rank)}
    Path(os.environ["REPORTS"], f"{rank}.json").write_text(json.dumps(report), encoding="utf-8")
    torch.distributed.destroy_process_group()
