"""All nodes of a recurrent cell at one time step as one autograd function: the fast evaluation's forward and backward.

Source by source: a state goes through the matrices of all its targets in one batched product, and what it gives them is
added to their sums. Kept for the backward are the sums, the states and what the rule asks for; see
:mod:`archgrad.supernet.recurrent.rules` for the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.network.recurrent import SequenceNorm, masked
from archgrad.supernet.again import differentiable
from archgrad.supernet.recurrent.by_source import BySource
from archgrad.supernet.recurrent.rules import Rule, Shares

__all__ = ["nodes"]

Norms = Sequence[nn.Module]
Piece = TypeVar("Piece")


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
        entering, matrices = tensors[: given.entering], tensors[given.entering :]
        sums = entering[0].new_zeros(given.slices, *entering[0].shape)
        states, moments = list(entering), []
        kept: list[Tensor] = []
        for place, number in enumerate(given.numbers):
            if place >= given.entering:
                node = place - given.entering
                raw = rule.node(_of_node(sums, rule, node), None if combiners is None else combiners[node])
                state, *found = _normalised(raw, norms[node])
                states.append(state)
                moments.append(found)
            if number is not None:
                state, own = states[place], matrices[_blocks(rule, number)]
                before = masked(state, mask).expand(len(own[0]), -1, -1)
                added, told = rule.given(state, [torch.bmm(before, each) for each in own], given.shares[number])
                _add(sums, given.targets[number], added)
                kept += told
        out = torch.stack(states[given.entering :])
        ctx.parts, ctx.moments = (rule, given, norms), [len(found) for found in moments]
        kept += [tensor for found in moments for tensor in found]
        ctx.save_for_backward(mask, combiners, sums, out, *tensors, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; under ``create_graph`` such that they can be differentiated again.

        From the last node to the first: all that reads a state has told its gradient before the node is come to.
        """
        rule, given, norms = ctx.parts
        mask, combiners, sums, out, *rest = ctx.saved_tensors
        count, live, needs = rule.blocks * len(given.shares), len(given.shares), ctx.needs_input_grad[4:]
        lengths = [given.entering, count, live]
        entering, matrices, tables, *kept = _split(rest, [*lengths, *[rule.kept] * live, *ctx.moments])
        moments = kept[live:]
        if torch.is_grad_enabled():
            given_to = entering, combiners, matrices, tables
            return None, None, None, None, *_differentiable(ctx.parts, mask, *given_to, gradients[0], needs)
        of_matrices, of_tables = (any(each) for each in _split(needs, [1, *lengths])[2:])
        states = [*entering, *out.unbind(0)]
        to_states = [*(torch.zeros_like(each) for each in entering), *gradients[0].unbind(0)]
        to_sums = torch.empty_like(sums)
        to_combiners = None if combiners is None else torch.zeros_like(combiners)
        for place, number in reversed([*enumerate(given.numbers)]):
            if number is not None:
                state, own = states[place], _blocks(rule, number)
                to_products, direct, to_table = rule.given_backward(
                    state, kept[number], given.shares[number], to_sums[given.targets[number]], of_tables
                )
                to_states[place] = _state_backward(to_states[place], mask, matrices[own], to_products)
                if direct is not None:
                    to_states[place] += direct
                if of_matrices:
                    given.to_matrices.add_products(own.start, masked(state, mask), to_products)
                if to_table is not None:
                    given.to_tables.add(number, to_table)
            if place >= given.entering:
                node = place - given.entering
                weights = None if combiners is None else combiners[node]
                found, to_weights = _node_backward(
                    rule, _of_node(sums, rule, node), weights, norms[node], moments[node], to_states[place]
                )
                for operand, each in enumerate(found):
                    to_sums[rule.operands * node + operand] = each
                if to_combiners is not None and to_weights is not None:
                    to_combiners[node] = to_weights
        # those of matrices and tables, which all time steps share, are handed over once: see BySource
        return (None, None, None, None, to_combiners, *to_states[: given.entering], *[None] * (count + live))


def _state_backward(
    gradient: Tensor, mask: Tensor | None, matrices: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Tensor:
    """Return a state's gradient and what comes through its products s W under its mask: g + mask sum_t g_t W_t'.

    Args:
        gradient: g of the state so far, [N, H]; left as it is.
        mask: dropout.
        matrices: W of the m targets t, [m, H, H] for every block.
        gradients: g_t of the products, [m, N, H] for every block.
    """
    total = gradient.clone() if mask is None else torch.zeros_like(gradient)
    for each, matrix in zip(gradients, matrices, strict=True):
        total.addbmm_(each, matrix.mT)
    return total if mask is None else total.mul_(mask).add_(gradient)


def _node_backward(
    rule: Rule,
    sums: Sequence[Tensor],
    weights: Tensor | None,
    norm: nn.Module,
    moments: Sequence[Tensor],
    gradient: Tensor,
) -> tuple[Sequence[Tensor], Tensor | None]:
    """Return the gradients of a node's sums and of its combiners' weights from that of norm(node(sums, weights)).

    What the node was before its norm is computed again: it is cheap, and need not be kept.
    """
    raw = rule.node(sums, weights)
    return rule.node_backward(sums, weights, _normalised_backward(gradient, raw, norm, moments))


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
    states, sums = list(entering), [torch.zeros_like(entering[0]) for _ in range(given.slices)]
    for place, number in enumerate(given.numbers):
        if place >= given.entering:
            node = place - given.entering
            own = sums[rule.operands * node : rule.operands * (node + 1)]
            raw, norm = rule.node(own, None if combiners is None else combiners[node]), norms[node]
            if statistics or not isinstance(norm, SequenceNorm):
                states.append(norm(raw))
            else:
                mean, variance = (None, None) if norm.training else (norm.running_mean, norm.running_var)
                states.append(functional.batch_norm(raw, mean, variance, None, None, norm.training, 0.0, norm.eps))
        if number is not None:
            source, before = given.sources[number], masked(states[place], mask)
            projected = [before @ each for each in matrices[_blocks(rule, number)]]
            added, _ = rule.given(states[place], projected, Shares.of(tables[number], source.operations))
            for target, each in zip(source.targets, added.unbind(0), strict=True):
                sums[target] = sums[target] + each
    return states[given.entering :]


def _differentiable(
    parts: tuple[Rule, BySource, Norms],
    mask: Tensor | None,
    entering: Sequence[Tensor],
    combiners: Tensor | None,
    matrices: Sequence[Tensor],
    tables: Sequence[Tensor],
    gradient: Tensor,
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of combiners and tensors, where needed, so that they can be differentiated again."""
    # the entering states of a later step depend on the same matrices and shares: views end the way to these here
    entering, matrices, tables = ([each.view_as(each) for each in given] for given in (entering, matrices, tables))
    combiners = None if combiners is None else combiners.view_as(combiners)
    found = plain(*parts, mask, entering, combiners, matrices, tables, statistics=False)
    return differentiable(torch.stack(found), (combiners, *entering, *matrices, *tables), gradient, needs)


def _blocks(rule: Rule, number: int) -> slice:
    """Return where a source's matrices and products are among those of all."""
    return slice(rule.blocks * number, rule.blocks * (number + 1))


def _of_node(sums: Tensor, rule: Rule, node: int) -> Sequence[Tensor]:
    """Return the sums of a node, [N, H] each."""
    return [sums[rule.operands * node + operand] for operand in range(rule.operands)]


def _add(sums: Tensor, targets: slice | Tensor, given: Tensor) -> None:
    """Add to the sums of the targets."""
    if isinstance(targets, slice):
        sums[targets].add_(given)
    else:
        sums.index_add_(0, targets, given)


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


def _split(given: Sequence[Piece], counts: Sequence[int]) -> list[list[Piece]]:
    """Cut a sequence into pieces of so many each."""
    left = iter(given)
    return [[next(left) for _ in range(count)] for count in counts]
