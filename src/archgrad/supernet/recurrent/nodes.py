"""All nodes of a recurrent cell at one time step as one autograd function: the fast evaluation's forward and backward.

Source by source: a state goes through the matrices of all its targets in one batched product, and what it gives them is
added to their sums. Kept for the backward are the sums, the states and the products; see
:mod:`archgrad.supernet.recurrent.rules` for the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.network.recurrent import SequenceNorm, masked
from archgrad.supernet.recurrent.by_source import BySource
from archgrad.supernet.recurrent.rules import Rule, Shares

__all__ = ["nodes"]

Norms = Sequence[nn.Module]

ONLY_INPUT = [True, False, False]


def nodes(
    rule: Rule,
    given: BySource,
    norms: Norms,
    mask: Tensor | None,
    entering: Sequence[Tensor],
    combiners: Tensor | None = None,
) -> list[Tensor]:
    """Return the states of the computed nodes, [N, H] each.

    Args:
        rule: the kind of cell.
        given: mixing and matrices.
        norms: of the computed nodes.
        mask: dropout of a state before its matrices.
        entering: states of the entering nodes, [N, H] each.
        combiners: weights of a node's combiners, [nodes, combiners], 0 where one does not run.
    """
    tables = [shares.table for shares in given.shares]
    if torch.is_autocast_enabled(entering[0].device.type):
        return plain(rule, given, norms, mask, entering, combiners, given.matrices, tables, statistics=True)
    found: Tensor = _Nodes.apply(rule, given, norms, mask, combiners, *entering, *given.matrices, *tables)  # type: ignore[no-untyped-call]
    return list(found.unbind(0))


class _Nodes(torch.autograd.Function):
    """(rule, given, norms, mask, combiners, *entering, *matrices, *tables of shares) -> states [nodes, N, H]."""

    @staticmethod
    def forward(
        ctx: Any,
        rule: Rule,
        given: BySource,
        norms: Norms,
        mask: Tensor | None,
        combiners: Tensor | None,
        *tensors: Tensor,
    ) -> Tensor:
        """Return the states of the computed nodes."""
        entering, matrices = tensors[: given.entering], iter(tensors[given.entering :])
        sums = entering[0].new_zeros(given.slices, *entering[0].shape)
        states, products, moments = list(entering), [], []
        shares = iter(given.shares)
        for place, source in enumerate(given.sources):
            if place >= given.entering:
                node = place - given.entering
                raw = rule.node(_of_node(sums, rule, node), None if combiners is None else combiners[node])
                state, *found = _normalised(raw, norms[node])
                states.append(state)
                moments.append(found)
            if source is not None:
                state = states[place]
                before = masked(state, mask).expand(len(source.targets), -1, -1)
                projected = [torch.bmm(before, next(matrices)) for _ in range(rule.blocks)]
                products += projected
                _add(sums, source.place, rule.given(state, projected, next(shares)))
        out = torch.stack(states[given.entering :])
        ctx.parts, ctx.moments = (rule, given, norms), [len(found) for found in moments]
        kept = [tensor for found in moments for tensor in found]
        ctx.save_for_backward(mask, combiners, sums, out, *tensors, *products, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; under ``create_graph`` such that they can be differentiated again."""
        rule, given, norms = ctx.parts
        mask, combiners, sums, out, *rest = ctx.saved_tensors
        live, count = len(given.shares), rule.blocks * len(given.shares)
        first, last = given.entering, given.entering + count
        tensors, rest = rest[: last + live], rest[last + live :]
        needs = ctx.needs_input_grad[4:]
        if torch.is_grad_enabled():
            return None, None, None, None, *_differentiable(ctx.parts, mask, combiners, tensors, gradients[0], needs)
        entering, matrices = tensors[:first], tensors[first:last]
        of_matrices, of_shares = any(needs[1 + first : 1 + last]), any(needs[1 + last :])
        products, moments = rest[:count], _split(rest[count:], ctx.moments)
        states, behind = [*entering, *out.unbind(0)], live
        to_states = [torch.zeros_like(entering[0]) for _ in entering] + list(gradients[0].unbind(0))
        to_sums = torch.empty_like(sums)
        to_matrices: list[Tensor | None] = [None] * count
        to_tables: list[Tensor | None] = [None] * live
        to_combiners = None if combiners is None else torch.zeros_like(combiners)
        for place in reversed(range(len(given.sources))):
            state, gradient, source = states[place], to_states[place], given.sources[place]
            if source is not None:
                behind -= 1
                blocks = range(rule.blocks * behind, rule.blocks * (behind + 1))
                to_projected, direct, to_tables[behind] = rule.given_backward(
                    state, [products[b] for b in blocks], given.shares[behind], to_sums[source.place], of_shares
                )
                through = torch.zeros_like(state)
                for block, each in zip(blocks, to_projected, strict=True):
                    through.addbmm_(each, matrices[block].mT)
                    if of_matrices:
                        before = masked(state, mask).t().expand(len(each), -1, -1)
                        to_matrices[block] = torch.bmm(before, each)
                gradient = gradient + masked(through, mask)
                if direct is not None:
                    gradient += direct
            to_states[place] = gradient
            if place >= given.entering:
                node = place - given.entering
                weights = None if combiners is None else combiners[node]
                raw = rule.node(_of_node(sums, rule, node), weights)
                gradient = _normalised_backward(gradient, raw, norms[node], moments[node])
                found, to_weights = rule.node_backward(_of_node(sums, rule, node), weights, gradient)
                for operand, each in enumerate(found):
                    to_sums[rule.operands * node + operand] = each
                if to_combiners is not None and to_weights is not None:
                    to_combiners[node] = to_weights
        return (None, None, None, None, to_combiners, *to_states[: given.entering], *to_matrices, *to_tables)


def plain(
    rule: Rule,
    given: BySource,
    norms: Norms,
    mask: Tensor | None,
    entering: Sequence[Tensor],
    combiners: Tensor | None,
    matrices: Sequence[Tensor],
    tables: Sequence[Tensor],
    statistics: bool,
) -> list[Tensor]:
    """Return the same in plain differentiable operations, for second derivatives and under autocast.

    Args:
        rule: as in :func:`nodes`, like those not named here.
        given: which state goes where.
        norms: of the computed nodes.
        mask: dropout.
        entering: states.
        combiners: their weights.
        matrices: of every source that something leaves, block by block.
        tables: of its shares.
        statistics: whether the norms' running statistics are written.
    """
    ready = iter([Shares.of(table, each.operations) for table, each in zip(tables, given.shares, strict=True)])
    left, states = iter(matrices), list(entering)
    sums = [torch.zeros_like(entering[0]) for _ in range(given.slices)]
    for place, source in enumerate(given.sources):
        if place >= given.entering:
            node = place - given.entering
            own = sums[rule.operands * node : rule.operands * (node + 1)]
            raw, norm = rule.node(own, None if combiners is None else combiners[node]), norms[node]
            if statistics or not isinstance(norm, SequenceNorm):
                states.append(norm(raw))
            else:
                mean, variance = (None, None) if norm.training else (norm.running_mean, norm.running_var)
                states.append(functional.batch_norm(raw, mean, variance, None, None, norm.training, 0.0, norm.eps))
        if source is not None:
            before = masked(states[place], mask)
            added = rule.given(states[place], [before @ next(left) for _ in range(rule.blocks)], next(ready))
            for target, each in zip(source.targets, added.unbind(0), strict=True):
                sums[target] = sums[target] + each
    return states[given.entering :]


def _differentiable(
    parts: tuple[Rule, BySource, Norms],
    mask: Tensor | None,
    combiners: Tensor | None,
    tensors: Sequence[Tensor],
    gradient: Tensor,
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of combiners and tensors, where needed, so that they can be differentiated again."""
    rule, given, norms = parts
    first, last = given.entering, given.entering + rule.blocks * len(given.shares)
    # the entering states of a later step depend on the same matrices and shares: views end the way to these here
    own = [tensor.view_as(tensor) for tensor in tensors]
    weights = None if combiners is None else combiners.view_as(combiners)
    found = plain(rule, given, norms, mask, own[:first], weights, own[first:last], own[last:], statistics=False)
    wanted = [tensor for tensor, need in zip((weights, *own), needs, strict=True) if need and tensor is not None]
    made = iter(torch.autograd.grad(torch.stack(found), wanted, gradient, create_graph=True, allow_unused=True))
    return [next(made) if need else None for need in needs]


def _of_node(sums: Tensor, rule: Rule, node: int) -> Sequence[Tensor]:
    """Return the sums of a node, [N, H] each."""
    return [sums[rule.operands * node + operand] for operand in range(rule.operands)]


def _add(sums: Tensor, place: slice | list[int], given: Tensor) -> None:
    """Add to the sums of the targets."""
    if isinstance(place, slice):
        sums[place].add_(given)
    else:
        sums.index_add_(0, torch.tensor(place, device=sums.device), given)


def _normalised(raw: Tensor, norm: nn.Module) -> tuple[Tensor, ...]:
    """Return a node's state behind its norm, and what the norm's backward needs."""
    if not isinstance(norm, SequenceNorm):
        return (norm(raw),)
    return torch.native_batch_norm(raw, None, None, *norm.step(), norm.eps)


def _normalised_backward(gradient: Tensor, raw: Tensor, norm: nn.Module, moments: Sequence[Tensor]) -> Tensor:
    """Return the gradient of a node before its norm."""
    if not isinstance(norm, SequenceNorm):
        return gradient
    found: Sequence[Tensor] = torch.ops.aten.native_batch_norm_backward(
        gradient,
        raw,
        None,
        norm.running_mean,
        norm.running_var,
        *moments,
        norm.training,
        norm.eps,
        [True, False, False],
    )
    return found[0]


def _split(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    """Cut a sequence into pieces of so many tensors each."""
    left: Iterator[Tensor] = iter(tensors)
    return [[next(left) for _ in range(count)] for count in counts]
