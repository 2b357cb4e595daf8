"""The reference evaluation of a cell: operation by operation, as the papers write it.

Every fast path is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing
from archgrad.supernet.plan import Plan
from archgrad.supernet.storage import CellStorage

__all__ = ["evaluate_cell", "path_masks"]


def path_masks(plan: Plan, drop: float, like: Tensor) -> Tensor | None:
    """Draw which examples every term of a cell is dropped for: [rows of the plan, N], 0 or 1 / (1 - drop).

    Every evaluation takes the same draw, so that a search is the same with each.

    Args:
        plan: the terms.
        drop: probability; with 0 there are no masks.
        like: a state [N, ...] of the cell.
    """
    if drop <= 0.0:
        return None
    return like.new_empty(len(plan.rows), len(like)).bernoulli_(1.0 - drop).div_(1.0 - drop)


def closed(total: Tensor | None, norm: Callable[[Tensor], Tensor], like: Tensor, stride: int) -> Tensor:
    """Return a node's state of its sum; a node without any term is zeros of the right shape.

    Args:
        total: the sum, [N, C, H, W], if there are terms.
        norm: applied to the sum.
        like: an input of the cell.
        stride: of the cell.
    """
    return norm(torch.zeros_like(like[:, :, ::stride, ::stride]) if total is None else total)


def evaluate_cell(
    plan: Plan,
    storage: CellStorage,
    inputs: Sequence[Tensor],
    mixing: Mixing,
    norms: Sequence[Callable[[Tensor], Tensor]],
    stride: int,
    drop: float = 0.0,
) -> list[Tensor]:
    """Compute x_j = sum_{i<j} sum_k w_ij^k o_k(x_i) for every node j (DARTS, equations 1 and 2).

    Args:
        plan: the terms of every sum.
        storage: the weights of all candidates.
        inputs: the input nodes' states, [N, C, H, W] each.
        mixing: its weights [edges, candidates] scale the terms.
        norms: one function per computed node, applied to its sum.
        stride: 2 in a reduction cell; a node without any term is zeros of the right shape.
        drop: drop-path probability of a term in training, the same for all candidates but identities.

    Returns:
        The states of the computed nodes.
    """
    states = list(inputs)
    weights = [row.unbind(0) for row in mixing.weights.unbind(0)]
    features: dict[tuple[int, str, int], Tensor] = {}
    masks = path_masks(plan, drop, inputs[0])
    mask_of = {} if masks is None else dict(zip(plan.rows, masks.unbind(0), strict=True))
    with storage.bound(row.feature for row in plan.rows):
        for target, norm in enumerate(norms, start=len(inputs)):
            total: Tensor | None = None
            for row in plan.into(target):
                if row.feature not in features:
                    features[row.feature] = storage.bank(row.source, row.operation).run(row.slice, states[row.source])
                feature = features[row.feature]
                if mask_of and feature is not states[row.source]:
                    feature = feature * mask_of[row][:, None, None, None]
                term = weights[row.edge][row.candidate] * feature
                total = term if total is None else total + term
            states.append(closed(total, norm, inputs[0], stride))
    return states[len(inputs) :]
