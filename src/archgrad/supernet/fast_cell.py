"""The fast evaluation of a cell: everything that leaves a node is computed together, and nothing is kept twice.

The reference walks over the rows of a plan; here the rows of one source are grouped by kind, with all slices side by
side, and one autograd function adds all their terms for all later nodes. Rows that are not known (operations of a user's
own) go the reference's way beside it.

The functions' gradients can be differentiated again: under ``create_graph`` their backward runs the forward's formulas
once more under autograd, at the plain price in time and memory, and says so once in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from archgrad.choices.mixing import Mixing
from archgrad.network.modules import DilatedConvolution, FactorizedReduce, Pool, SeparableConvolution
from archgrad.supernet import reference
from archgrad.supernet.fast_terms import Depthwise, Halved, Moments, Node, Pooled, Separable, Term, means_of
from archgrad.supernet.folded import as_matrix, column_means, covariances, fold, pull_back
from archgrad.supernet.plan import Plan, Row
from archgrad.supernet.storage import Bank, CellStorage, StackedBank

__all__ = ["evaluate_cell"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Group:
    """All rows of one operation that leave one source.

    Args:
        operation: its name.
        slices: which run, ascending.
        entries: [slices, targets]: position of the weight in the flattened mixing, or the position behind its end.
    """

    operation: str
    slices: tuple[int, ...]
    entries: tuple[tuple[int, ...], ...]

    @property
    def merged(self) -> tuple[tuple[int, ...], ...]:
        """The entries as if all slices were one: for operations whose slices are equal."""
        return (tuple(min(column) for column in zip(*self.entries, strict=True)),)


@lru_cache(maxsize=4096)
def groups_of(plan: Plan, source: int, candidates: int, rows: int) -> tuple[tuple[int, ...], tuple[Group, ...]]:
    """Return the targets that a source has terms for, and its rows by operation.

    Args:
        plan: of the cell.
        source: the node.
        candidates: columns of the mixing.
        rows: rows of the mixing.
    """
    mine = [row for row in plan.rows if row.source == source]
    targets = tuple(sorted({row.target for row in mine}))
    groups = []
    for operation in dict.fromkeys(row.operation for row in mine):
        its = [row for row in mine if row.operation == operation]
        slices = tuple(sorted({row.slice for row in its}))
        where = {(row.slice, row.target): row.edge * candidates + row.candidate for row in its}
        entries = tuple(tuple(where.get((slice, target), rows * candidates) for target in targets) for slice in slices)
        groups.append(Group(operation, slices, entries))
    return targets, tuple(groups)


def evaluate_cell(
    plan: Plan,
    storage: CellStorage,
    inputs: Sequence[Tensor],
    mixing: Mixing,
    norms: Sequence[Callable[[Tensor], Tensor]],
    stride: int,
    drop: float = 0.0,
) -> list[Tensor]:
    """Compute what :func:`archgrad.supernet.reference.evaluate_cell` computes, with the same arguments.

    The reference itself is taken where the fast path does not apply: outside training, with dropped paths (every
    candidate's output is scaled on its own), under autocast, on other devices than a CPU, and for batches of one pixel.
    """
    count, channels, height, width = inputs[0].shape
    pixels = count * -(-height // stride) * -(-width // stride)
    plain = drop > 0.0 or not storage.training or inputs[0].device.type != "cpu" or torch.is_autocast_enabled("cpu")
    if plain or pixels < 2:
        return reference.evaluate_cell(plan, storage, inputs, mixing, norms, stride, drop)
    states = list(inputs)
    weights = torch.cat([mixing.weights.flatten(), mixing.weights.new_zeros(1)])
    totals: dict[int, Tensor] = {}

    def add(target: int, term: Tensor) -> None:
        totals[target] = totals[target] + term if target in totals else term

    for source in range(len(inputs) + len(norms)):
        if source >= len(inputs):
            total = totals.pop(source, None)
            if total is None:
                total = torch.zeros_like(inputs[0][:, :, ::stride, ::stride])
            states.append(norms[source - len(inputs)](total))
        targets, groups = groups_of(plan, source, mixing.weights.shape[1], mixing.weights.shape[0])
        known, unknown = [], []
        for group in groups:
            term = _known(storage.bank(source, group.operation), group)
            if term is None:
                unknown.append(group)
            else:
                known.append((group, term))
        if known:
            terms = _leave(states[source], stride if source < len(inputs) else 1, weights, known)
            for target, term_ in zip(targets, terms.split(channels, dim=1), strict=True):
                add(target, term_)
        for row, feature in _plainly(storage, states[source], plan, unknown, source):
            add(row.target, mixing.weights[row.edge, row.candidate] * feature)
    return states[len(inputs) :]


def _plainly(
    storage: CellStorage, state: Tensor, plan: Plan, groups: Sequence[Group], source: int
) -> list[tuple[Row, Tensor]]:
    """Run operations the reference's way, each slice once."""
    found = []
    for group in groups:
        bank = storage.bank(source, group.operation)
        bank.bind()
        features = {index: bank.run(index, state) for index in group.slices}
        bank.release()
        rows = (row for row in plan.rows if row.source == source and row.operation == group.operation)
        found += [(row, features[row.slice]) for row in rows]
    return found


@dataclass(frozen=True)
class _Known:
    """An operation that the fast path knows: its term (None: the identity), its weights and its batch norms."""

    term: Term | None
    tensors: tuple[Tensor, ...]
    norms: tuple[nn.BatchNorm2d, ...]
    entries: tuple[tuple[int, ...], ...]


def _known(bank: Bank, group: Group) -> _Known | None:
    """Return how the fast path evaluates a group of rows, or None if it does not know the operation."""
    if not isinstance(bank, StackedBank):
        return None
    operation = bank.operation
    every = len(group.slices) == bank.slices

    def pick(weight: Tensor) -> Tensor:
        return weight if every else weight[list(group.slices)]

    def kernel(layer: nn.Module) -> Tensor:
        weight = pick(cast(Tensor, layer.weight))
        return weight.reshape(-1, *weight.shape[2:])

    def pointwise(layer: nn.Module) -> Tensor:
        return pick(cast(Tensor, layer.weight)).flatten(2)

    slices = len(group.slices)
    if type(operation) is nn.Identity:
        return _Known(None, (), (), group.merged)
    if type(operation) is Pool:
        kind = "max" if isinstance(operation.pool, nn.MaxPool2d) else "average"
        norm = operation.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return None
        return _Known(Pooled(kind, norm.eps), (), (norm,), group.merged)
    if type(operation) is FactorizedReduce:
        even, odd = pointwise(operation.even), pointwise(operation.odd)
        nothing = even.new_zeros(slices, max(even.shape[1], odd.shape[1]), even.shape[2])
        both = torch.cat(
            [
                torch.cat([even, nothing[:, : even.shape[1]]], dim=2),
                torch.cat([nothing[:, : odd.shape[1]], odd], dim=2),
            ],
            dim=1,
        )
        return _Known(Halved(operation.norm.eps), (both,), (operation.norm,), group.entries)
    if type(operation) is DilatedConvolution:
        _, spatial, point, norm = operation
        term = Depthwise(slices, cast(nn.Conv2d, spatial).dilation[0], cast(nn.BatchNorm2d, norm).eps)
        return _Known(term, (kernel(spatial), pointwise(point)), (cast(nn.BatchNorm2d, norm),), group.entries)
    if type(operation) is SeparableConvolution:
        _, spatial, point, norm, _, spatial_2, point_2, norm_2 = operation
        tensors = kernel(spatial), pointwise(point), kernel(spatial_2), pointwise(point_2)
        both_norms = cast(nn.BatchNorm2d, norm), cast(nn.BatchNorm2d, norm_2)
        return _Known(Separable(slices, both_norms[0].eps), tensors, both_norms, group.entries)
    return None


def _leave(x: Tensor, stride: int, weights: Tensor, known: Sequence[tuple[Group, _Known]]) -> Tensor:
    """Return the sums [N, targets C, H', W'] of everything known that leaves a node, and move the running statistics.

    Args:
        x: the node's state.
        stride: of the operations.
        weights: the flattened mixing with a zero behind it.
        known: the operations.
    """
    entries = torch.tensor([entry for _, each in known for row in each.entries for entry in row])
    targets = len(known[0][1].entries[0])
    record: list[Moments] = []
    spec = _Spec(tuple((each.term, len(each.tensors), len(each.entries)) for _, each in known), stride, targets, record)
    tensors = [tensor for _, each in known for tensor in each.tensors]
    x = x.contiguous(memory_format=torch.channels_last)
    out: Tensor = _Leaving.apply(spec, x, weights[entries].view(-1, targets), *tensors)  # type: ignore[no-untyped-call]
    pixels = out.shape[0] * out.shape[2] * out.shape[3]
    for (group, each), moments in zip(known, record, strict=True):
        for norm, (mean, variance) in zip(each.norms, moments, strict=True):
            _track(norm, group.slices, mean, variance * (pixels / (pixels - 1)))
    return out


@torch.no_grad()
def _track(norm: nn.BatchNorm2d, slices: tuple[int, ...], mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics [all slices, C] of the slices that ran, as the batch norm itself does."""
    if not (norm.training and norm.track_running_stats) or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    every = len(slices) == norm.running_mean.shape[0]
    at = slice(None) if every else list(slices)
    norm.num_batches_tracked[at] += 1
    if norm.momentum is None:
        share: Tensor | float = 1.0 / norm.num_batches_tracked[at].to(mean.dtype).unsqueeze(1)
    else:
        share = norm.momentum
    for running, now in ((norm.running_mean, mean), (norm.running_var, variance)):
        running[at] += share * (now - running[at])


@dataclass(frozen=True, eq=False)
class _Spec:
    """What leaves a node, without its tensors: (term or None for the identity, its tensors, its slices) each."""

    terms: tuple[tuple[Term | None, int, int], ...]
    stride: int
    targets: int
    record: list[Moments]

    def parts(self, tensors: Sequence[Tensor], weights: Tensor) -> list[tuple[Term | None, Sequence[Tensor], Tensor]]:
        """Return every term with its tensors and its weights [slices, targets]."""
        parts, at, row = [], 0, 0
        for term, count, slices in self.terms:
            parts.append((term, tensors[at : at + count], weights[row : row + slices]))
            at, row = at + count, row + slices
        return parts


def _forward(
    spec: _Spec, x: Tensor, weights: Tensor, tensors: Sequence[Tensor]
) -> tuple[Tensor, list[Moments], list[list[Tensor]]]:
    """Return the sums, the moments of the batch norms, and what every term keeps: plain differentiable operations."""
    node = Node(x, spec.stride)
    total: Tensor | None = None
    record: list[Moments] = []
    kept: list[list[Tensor]] = []
    for term, its, share in spec.parts(tensors, weights):
        moments: Moments = []
        if term is None:
            features, matrix = as_matrix(x), _spread(share, node.channels)
            kept.append([])
        else:
            features, mean, keep = term.forward(node, its, moments)
            point, covariance = term.pointwise(node, its), covariances(features, term.groups)
            matrix, variance = fold(point, share, covariance, term.eps)
            moments.append((means_of(point, mean), variance))
            kept.append([covariance, *keep])
        record.append(moments)
        if total is None:
            total = features.mm(matrix)
        else:
            total = total.addmm(features, matrix) if torch.is_grad_enabled() else total.addmm_(features, matrix)
    assert total is not None
    return node.out_image(total), record, kept


class _Leaving(torch.autograd.Function):
    """All terms that leave one node; keeps the node, the inner features of separable convolutions and little else."""

    @staticmethod
    def forward(ctx: Any, spec: _Spec, x: Tensor, weights: Tensor, *tensors: Tensor) -> Tensor:
        out, record, kept = _forward(spec, x, weights, tensors)
        spec.record.extend(record)
        ctx.spec, ctx.kept = spec, [len(each) for each in kept]
        ctx.save_for_backward(x, weights, *tensors, *(tensor for each in kept for tensor in each))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        spec: _Spec = ctx.spec
        count = sum(each for _, each, _ in spec.terms)
        x, weights, *rest = ctx.saved_tensors
        tensors, saved = rest[:count], rest[count:]
        needs = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *_differentiable(spec, x, weights, tensors, gradients[0], needs)
        kept = []
        for length in ctx.kept:
            kept.append(saved[:length])
            saved = saved[length:]
        return None, *_backward(spec, x, weights, tensors, kept, gradients[0], needs)


def _backward(
    spec: _Spec,
    x: Tensor,
    weights: Tensor,
    tensors: Sequence[Tensor],
    kept: Sequence[Sequence[Tensor]],
    gradient: Tensor,
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of x, weights and tensors, where needed."""
    node = Node(x, spec.stride)
    to_out = as_matrix(gradient.contiguous(memory_format=torch.channels_last))
    centred = to_out - column_means(to_out)  # batch norm takes no notice of a constant: u's mean needs no care below
    to_weights: list[Tensor] = []
    to_tensors: list[Tensor | None] = []
    at = 2
    for (term, its, share), keep in zip(spec.parts(tensors, weights), kept, strict=True):
        wanted = [*needs[at : at + len(its)], needs[0]]
        at += len(its)
        if term is None:
            inner = as_matrix(x).t().mm(to_out).view(node.channels, spec.targets, node.channels)
            to_weights.append(inner.diagonal(dim1=0, dim2=2).sum(-1).unsqueeze(0))
            if needs[0]:
                node.add_to_x(to_out.mm(_spread(share, node.channels).t()))
            continue
        covariance, *keep = keep
        features, point = term.again(node, its, keep), term.pointwise(node, its)
        # the last pointwise convolution: the last tensor, if there is any
        needed = any(wanted[: max(len(its) - 1, 0)]) or wanted[-1], bool(its) and wanted[-2], needs[1]
        to_features, to_point, to_share = pull_back(features, centred, point, share, covariance, term.eps, needed)
        found: list[Tensor | None] = [None] * len(its)
        if to_features is not None:
            found = term.backward(node, its, keep, to_features, wanted)
        if its:
            found[-1] = to_point
        to_tensors += found
        if to_share is not None:
            to_weights.append(to_share)
    return [
        node.gradient() if needs[0] else None,
        torch.cat(to_weights) if needs[1] else None,
        *to_tensors,
    ]


def _differentiable(
    spec: _Spec, x: Tensor, weights: Tensor, tensors: Sequence[Tensor], gradient: Tensor, needs: Sequence[bool]
) -> list[Tensor | None]:
    """Return the same gradients so that they can be differentiated again."""
    _say_once()
    inputs = [x, weights, *tensors]
    out, _, _ = _forward(spec, x, weights, tensors)
    wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
    found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True, allow_unused=True))
    return [next(found) if need else None for need in needs]


@lru_cache(maxsize=1)
def _say_once() -> None:
    log.info("A gradient is differentiated again: the fast evaluation takes the plain formulas there.")


def _spread(weights: Tensor, channels: int) -> Tensor:
    """Return the matrix [C, targets C] that adds the same features, weighted [1, targets], to every target."""
    return torch.einsum("rc,t->rtc", torch.eye(channels, dtype=weights.dtype), weights[0]).reshape(channels, -1)
