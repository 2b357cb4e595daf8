"""The reference evaluation of a recurrent cell for one time step: term by term, as the papers write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from archgrad.network.recurrent import ACTIVATIONS, average, bounded, combined, highway, masked
from archgrad.supernet.recurrent.plan import Group

__all__ = ["Weights", "highway_nodes", "joined_operands", "two_input_nodes"]

Weights = Sequence[Sequence[Tensor]]
"""The mixing's weights as scalars, [row][candidate]."""

Norms = Sequence[Callable[[Tensor], Tensor]]


def highway_nodes(
    plan: Sequence[Group],
    stack: Sequence[Tensor],
    entering: Tensor,
    weights: Weights,
    norms: Norms,
    mask: Tensor | None,
) -> list[Tensor]:
    """Compute s_i, the average over predecessors j and activations k of p_ji^k [s_j + c (f_k(h) - s_j)].

    With [c, h] = s_j W_i (DARTS, appendix A.1.2 and its public code).

    Args:
        plan: the terms of every node.
        stack: W_i [H, 2H] of every node.
        entering: s_0, [N, H].
        weights: the mixing's.
        norms: of the computed nodes.
        mask: dropout of a state before its matrix.

    Returns:
        The states of the computed nodes.
    """
    states = [entering]
    for group, norm in zip(plan, norms, strict=True):
        total, mass = torch.zeros_like(entering), entering.new_zeros(())
        for term in group.terms:
            weight, state = weights[term.edge][term.candidate], states[term.source]
            projected = masked(state, mask) @ stack[group.slice]
            total = total + weight * highway(state, projected, ACTIVATIONS[term.operation])
            mass = mass + weight
        states.append(norm(average(total, mass)))
    return states[1:]


def two_input_nodes(
    plan: Sequence[Group],
    stack: Sequence[Tensor],
    entering: Sequence[Tensor],
    weights: Weights,
    combiners: Sequence[Mapping[str, Tensor]],
    norms: Norms,
    mask: Tensor | None,
) -> list[Tensor]:
    """Compute s_i = omega_add (u + v) + omega_mul (u * v); u averages p_ji^k f_k(s_j W_i^a), v likewise with b.

    Args:
        plan: the terms of both operands of every node.
        stack: W_i^a and W_i^b [H, H], node after node.
        entering: x_t W_x and h_{t-1} W_h, [N, H] each.
        weights: the mixing's.
        combiners: omega of every node, by the names of the combiners that run.
        norms: of the computed nodes.
        mask: dropout of a state before its matrix.

    Returns:
        The states of the computed nodes.
    """
    states = list(entering)
    for place, norm in enumerate(norms):
        operands = []
        for group in plan[2 * place : 2 * place + 2]:
            total, mass = torch.zeros_like(states[0]), states[0].new_zeros(())
            for term in group.terms:
                weight = weights[term.edge][term.candidate]
                projected = masked(states[term.source], mask) @ stack[group.slice]
                total = total + weight * ACTIVATIONS[term.operation](projected)
                mass = mass + weight
            operands.append(average(total, mass))
        states.append(norm(bounded(joined_operands(operands[0], operands[1], combiners[place]))))
    return states[2:]


def joined_operands(a: Tensor, b: Tensor, omega: Mapping[str, Tensor]) -> Tensor:
    """Return omega_add (a + b) + omega_mul (a * b) of the combiners that run."""
    total = torch.zeros_like(a)
    for how, weight in omega.items():
        total = total + weight * combined(a, b, how)
    return total
