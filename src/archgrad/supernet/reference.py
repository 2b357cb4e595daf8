"""The reference evaluation of a cell: operation by operation, as the papers write it.

Every fast path is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing
from archgrad.network.modules import drop_path
from archgrad.supernet.plan import Plan
from archgrad.supernet.storage import CellStorage

__all__ = ["evaluate_cell"]


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
    with storage.bound():
        for target, norm in enumerate(norms, start=len(inputs)):
            total: Tensor | None = None
            for row in plan.into(target):
                if row.feature not in features:
                    features[row.feature] = storage.bank(row.source, row.operation).run(row.slice, states[row.source])
                feature = features[row.feature]
                if feature is not states[row.source]:
                    feature = drop_path(feature, drop)
                term = weights[row.edge][row.candidate] * feature
                total = term if total is None else total + term
            if total is None:
                total = torch.zeros_like(inputs[0][:, :, ::stride, ::stride])
            states.append(norm(total))
    return states[len(inputs) :]
