"""The fast evaluation of a recurrent cell for one time step: the reference's numbers with a few large kernels a node.

All predecessors of a node go through its matrix at once, and every activation runs once on the whole block. In
sum_k p_k [s + c (f_k(h) - s)] only sum_k p_k f_k(h) differs from candidate to candidate, so the gate and the
difference are computed once a predecessor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from archgrad.network.recurrent import ACTIVATIONS, average, bounded, masked
from archgrad.supernet.recurrent.plan import Group
from archgrad.supernet.recurrent.reference import joined_operands

__all__ = ["Block", "blocks_of", "fast_highway_nodes", "fast_two_input_nodes"]

Norms = Sequence[Callable[[Tensor], Tensor]]


class Block:
    """What one group takes from a mixing, the same at every time step that gets this mixing.

    Args:
        group: its terms.
        weights: the mixing's weights [rows, candidates], 0 outside the support.
        operations: names of the candidates, in the order of the columns.
    """

    def __init__(self, group: Group, weights: Tensor, operations: Sequence[str]) -> None:
        self.sources, self.slice = group.sources, group.slice
        rows = {term.source: term.edge for term in group.terms}
        columns = [operations.index(name) for name in group.operations]
        self.activations = [ACTIVATIONS[name] for name in group.operations]
        if self.sources:
            table = weights[[rows[source] for source in self.sources]][:, columns]
            self.shares = [table[:, k, None, None] for k in range(len(columns))]
            self.per_source = table.sum(dim=1)[:, None, None]
            self.mass = table.sum()

    def stacked(self, states: Sequence[Tensor]) -> Tensor:
        """Return the states that the group reads, [sources, N, H]."""
        return torch.stack([states[source] for source in self.sources])

    def activated(self, h: Tensor) -> Tensor:
        """Return sum_k p_k f_k(h) of every source, [sources, N, H]."""
        total = self.shares[0] * self.activations[0](h)
        for share, activation in zip(self.shares[1:], self.activations[1:], strict=True):
            total = torch.addcmul(total, share, activation(h))
        return total


def blocks_of(plan: Sequence[Group], weights: Tensor, operations: Sequence[str]) -> list[Block]:
    """Return one block per group of a plan."""
    return [Block(group, weights, operations) for group in plan]


def fast_highway_nodes(
    blocks: Sequence[Block], stack: Sequence[Tensor], entering: Tensor, norms: Norms, mask: Tensor | None
) -> list[Tensor]:
    """Return what :func:`archgrad.supernet.recurrent.reference.highway_nodes` returns."""
    states = [entering]
    for block, norm in zip(blocks, norms, strict=True):
        if not block.sources:
            states.append(norm(torch.zeros_like(entering)))
            continue
        s = block.stacked(states)
        gate, h = (masked(s, mask) @ stack[block.slice]).chunk(2, dim=-1)
        weighted = block.per_source * s
        total = (weighted + torch.sigmoid(gate) * (block.activated(h) - weighted)).sum(dim=0)
        states.append(norm(average(total, block.mass)))
    return states[1:]


def fast_two_input_nodes(
    blocks: Sequence[Block],
    stack: Sequence[Tensor],
    entering: Sequence[Tensor],
    combiners: Sequence[Mapping[str, Tensor]],
    norms: Norms,
    mask: Tensor | None,
) -> list[Tensor]:
    """Return what :func:`archgrad.supernet.recurrent.reference.two_input_nodes` returns."""
    states = list(entering)
    for place, (omega, norm) in enumerate(zip(combiners, norms, strict=True)):
        operands = []
        for block in blocks[2 * place : 2 * place + 2]:
            if not block.sources:
                operands.append(torch.zeros_like(states[0]))
                continue
            h = masked(block.stacked(states), mask) @ stack[block.slice]
            operands.append(average(block.activated(h).sum(dim=0), block.mass))
        states.append(norm(bounded(joined_operands(operands[0], operands[1], omega))))
    return states[2:]
