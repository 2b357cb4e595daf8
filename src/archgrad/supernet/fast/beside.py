"""What flows beside the mixture of operations: channels that bypass it, and an auxiliary skip connection.

Both are added to a node's sum before its norm, whatever evaluates the mixture: a cell's evaluation asks a function per
node for the node's state, and here that function adds what flows beside. So every evaluation gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.choices.mixing import Mixing
from archgrad.space.cells import CellSpace
from archgrad.supernet.plan import Plan
from archgrad.supernet.storage import CellStorage

__all__ = ["Evaluate", "evaluate_beside", "shuffled_channels"]

Norm = Callable[[Tensor], Tensor]


class Evaluate(Protocol):
    """Evaluates the mixture of a cell, see :func:`archgrad.supernet.reference.evaluate_cell`."""

    def __call__(
        self,
        plan: Plan,
        storage: CellStorage,
        inputs: Sequence[Tensor],
        mixing: Mixing,
        norms: Sequence[Norm],
        stride: int,
        drop: float = 0.0,
    ) -> list[Tensor]:
        """Return the states of the computed nodes."""
        ...


def shuffled_channels(x: Tensor, groups: int) -> Tensor:
    """Return x [N, C, H, W] with the channels dealt out in turn from ``groups`` equal parts (PC-DARTS, section 3.2).

    Channel c of part g goes to place c * groups + g, so that the next operation reads other channels.
    """
    n, channels, height, width = x.shape
    return x.view(n, groups, channels // groups, height, width).transpose(1, 2).reshape(n, channels, height, width)


def evaluate_beside(
    evaluate: Evaluate,
    cell: CellSpace,
    plan: Plan,
    storage: CellStorage,
    inputs: Sequence[Tensor],
    mixing: Mixing,
    norms: Sequence[Norm],
    stride: int,
    drop: float = 0.0,
    partial: int = 1,
) -> list[Tensor]:
    """Compute x_j = sum_i shuffle[m_ij(x_i^S), b_ij x_i^rest] + a_ij x_i for every node j.

    x^S is the first C / partial channels, m_ij the mixture, b_ij = sum_k w_ij^k the total weight of the edge (0 where
    nothing but ``none`` runs: an edge that is left out passes nothing on), a_ij the mixing's ``auxiliary``. With
    stride 2 what bypasses is max-pooled 2 x 2 (PC-DARTS) and the auxiliary skip average-pooled. DARTS- has a factorised
    reduction with weights of its own there; this one has none, so that every supernet understands it.

    Args:
        evaluate: evaluates the mixture.
        cell: the cell's graph.
        plan: the terms of every sum.
        storage: the weights of all candidates, for C / partial channels.
        inputs: the input nodes' states, [N, C, H, W] each.
        mixing: weights of operations, and the auxiliary skips' [rows], or None for no such skip.
        norms: one function per computed node, applied to its sum.
        stride: 2 in a reduction cell.
        drop: drop-path probability of a term of the mixture.
        partial: one channel in so many goes through the mixture.

    Returns:
        The states of the computed nodes, [N, C, ...].
    """
    states = list(inputs)
    share = inputs[0].shape[1] // partial
    runs = sorted({row.edge for row in plan.rows})
    totals = mixing.weights.sum(dim=1)

    def strided(pool: Callable[..., Tensor], x: Tensor, source: int) -> Tensor:
        return pool(x, 2, 2, ceil_mode=True) if stride == 2 and source < len(inputs) else x

    def state_of(target: int, norm: Norm) -> Norm:
        into = [edge for edge, (_, end) in enumerate(cell.edges) if end == target]

        def complete(mixture: Tensor) -> Tensor:
            state = mixture
            if partial > 1:
                n, _, height, width = mixture.shape
                rest = mixture.new_zeros(n, share * (partial - 1), height, width)
                for edge in (edge for edge in into if edge in runs):
                    source = cell.edges[edge][0]
                    rest = rest + totals[edge] * strided(functional.max_pool2d, states[source][:, share:], source)
                state = shuffled_channels(torch.cat([mixture, rest], dim=1), partial)
            if mixing.auxiliary is not None:
                for edge in into:
                    source = cell.edges[edge][0]
                    state = state + mixing.auxiliary[edge] * strided(functional.avg_pool2d, states[source], source)
            states.append(norm(state))
            return _first(states[-1], share)

        return complete

    nodes = [state_of(target, norm) for target, norm in enumerate(norms, start=len(inputs))]
    evaluate(plan, storage, [_first(x, share) for x in inputs], mixing, nodes, stride, drop)
    return states[len(inputs) :]


def _first(x: Tensor, share: int) -> Tensor:
    """Return the first channels, laid out for the kernels."""
    return x if share == x.shape[1] else x[:, :share].contiguous(memory_format=torch.channels_last)
