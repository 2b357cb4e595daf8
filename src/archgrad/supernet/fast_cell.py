"""The fast evaluation of a cell: everything that leaves a node is computed together, and nothing is kept twice.

The reference walks over the rows of a plan; here the rows of one source are grouped by kind, with all slices side by
side, and one autograd function (:mod:`archgrad.supernet.leaving`) adds all their terms for all later nodes. Rows that
it does not know, such as operations of a user's own, go the reference's way beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from archgrad.choices.mixing import Mixing
from archgrad.network.modules import DilatedConvolution, FactorizedReduce, Pool, SeparableConvolution
from archgrad.supernet import reference
from archgrad.supernet.folded import Span, packed
from archgrad.supernet.leaving import Leaving
from archgrad.supernet.leaving_spec import Kind, Moments, Shared, Spec
from archgrad.supernet.plan import Plan, Row
from archgrad.supernet.reference import path_masks
from archgrad.supernet.storage import Bank, CellStorage, StackedBank

__all__ = ["evaluate_cell"]


@dataclass(frozen=True)
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

    def spans(self, channels: int, nothing: int) -> tuple[Span, ...]:
        """Return which slices are multiplied together, into which targets; ``nothing`` is the entry of no weight."""
        pack, found = packed(channels), []
        for first in range(0, len(self.slices), pack):
            rows = self.entries[first : first + pack]
            used = [target for row in rows for target, entry in enumerate(row) if entry != nothing]
            found.append(Span(first, first + len(rows), min(used), max(used) + 1 - min(used), min(used)))
        return tuple(found)


@lru_cache(maxsize=4096)
def groups_of(plan: Plan, source: int, rows: int, candidates: int) -> tuple[tuple[int, ...], tuple[Group, ...]]:
    """Return the targets that a source has terms for, and its rows by operation.

    Args:
        plan: of the cell.
        source: the node.
        rows: of the mixing.
        candidates: columns of the mixing.
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

    The reference itself is taken where the fast path does not apply: outside training, under autocast, on other
    devices than a CPU, and for batches of one pixel.
    """
    count, channels, height, width = inputs[0].shape
    pixels = count * -(-height // stride) * -(-width // stride)
    plain = not storage.training or inputs[0].device.type != "cpu" or torch.is_autocast_enabled("cpu")
    if plain or pixels < 2:
        return reference.evaluate_cell(plan, storage, inputs, mixing, norms, stride, drop)
    states = list(inputs)
    rows, candidates = mixing.weights.shape
    weights = torch.cat([mixing.weights.flatten(), mixing.weights.new_zeros(1)])
    masks = path_masks(plan, drop, inputs[0])
    table = None
    if masks is not None:  # laid out as the weights are
        table = masks.new_zeros(count, len(weights))
        table[:, [row.edge * candidates + row.candidate for row in plan.rows]] = masks.t()
    totals: dict[int, Tensor] = {}

    def add(target: int, term: Tensor) -> None:
        totals[target] = totals[target] + term if target in totals else term

    for source in range(len(inputs) + len(norms)):
        if source >= len(inputs):
            total = totals.pop(source, None)
            if total is None:
                total = torch.zeros_like(inputs[0][:, :, ::stride, ::stride])
            states.append(norms[source - len(inputs)](total))
        targets, groups = groups_of(plan, source, rows, candidates)
        if not groups:
            continue
        collected = _Collected(channels, rows * candidates)
        for group in groups:
            collected.take(group, storage.bank(source, group.operation))
        if collected.index:
            sums = collected.sums(states[source], stride if source < len(inputs) else 1, weights, table, len(targets))
            for target, term in zip(targets, sums.split(channels, dim=1), strict=True):
                add(target, term)
        for row, feature in _plainly(storage, states[source], plan, collected.unknown, source):
            if table is not None and feature is not states[source]:
                feature = feature * table[:, row.edge * candidates + row.candidate, None, None, None]
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


class _Collected:
    """The operations that leave one source, as the fast path wants them; the rest is left in ``unknown``.

    Args:
        channels: of every node.
        nothing: the entry of no weight.
    """

    def __init__(self, channels: int, nothing: int) -> None:
        self.channels, self.nothing = channels, nothing
        self.eps: float | None = None
        self.unknown: list[Group] = []
        self.identity: list[tuple[int, ...]] = []
        self.pools: list[tuple[str, Group, nn.BatchNorm2d]] = []
        self.halved: tuple[Group, nn.BatchNorm2d, Tensor] | None = None
        self.kinds: list[tuple[Kind, Group, tuple[nn.BatchNorm2d, ...], tuple[Tensor, ...]]] = []

    @property
    def index(self) -> tuple[tuple[int, ...], ...]:
        """The entries of all rows of weights, in the order of :class:`Spec`."""
        rows = [*self.identity]
        for _, group, _ in self.pools:
            rows += group.merged
        if self.halved is not None:
            rows += self.halved[0].entries
        for _, group, _, _ in self.kinds:
            rows += group.entries
        return tuple(rows)

    def take(self, group: Group, bank: Bank) -> None:
        """Sort a group in by the type of its operation."""
        operation = bank.operation if isinstance(bank, StackedBank) else None
        norms = [layer for layer in operation.modules() if isinstance(layer, nn.BatchNorm2d)] if operation else []
        if operation is None or any(norm.eps != (self.eps or norm.eps) or norm.affine for norm in norms):
            self.unknown.append(group)
            return
        slices, every = len(group.slices), len(group.slices) == cast(StackedBank, bank).slices

        def pick(layer: nn.Module) -> Tensor:
            weight = cast(Tensor, layer.weight)
            return weight if every else weight[list(group.slices)]

        if type(operation) is nn.Identity:
            self.identity += group.merged
        elif type(operation) is Pool and norms:
            kind = "max" if isinstance(operation.pool, nn.MaxPool2d) else "average"
            self.pools.append((kind, group, norms[0]))
        elif type(operation) is FactorizedReduce:
            even, odd = pick(operation.even).flatten(2), pick(operation.odd).flatten(2)
            upper = torch.cat([even, torch.zeros_like(even)], dim=2)
            lower = torch.cat([torch.zeros_like(odd), odd], dim=2)
            self.halved = group, norms[0], torch.cat([upper, lower], dim=1)
        elif type(operation) in (DilatedConvolution, SeparableConvolution):
            layers = [layer for layer in operation.modules() if isinstance(layer, nn.Conv2d)]
            shape = Kind(
                slices,
                layers[0].kernel_size[0],
                layers[0].dilation[0],
                type(operation) is SeparableConvolution,
                group.spans(self.channels, self.nothing),
            )
            self.kinds.append((shape, group, tuple(norms), tuple(pick(layer) for layer in layers)))
        else:
            self.unknown.append(group)
            return
        self.eps = norms[0].eps if norms else self.eps

    def sums(self, x: Tensor, stride: int, weights: Tensor, masks: Tensor | None, targets: int) -> Tensor:
        """Return the sums [N, targets C, H', W'] of everything known, and move the running statistics.

        Args:
            x: the node's state.
            stride: of the operations.
            weights: the flattened mixing with a zero behind it.
            masks: of dropped paths, [N, as many as weights], or None.
            targets: how many sums.
        """
        shared = [Shared(tuple(kind for kind, _, _ in self.pools), len(self.pools))] if self.pools else []
        tensors: list[Tensor] = []
        if self.halved is not None:
            shared.append(Shared((), len(self.halved[0].slices)))
            tensors.append(self.halved[2])
        for _, _, _, its in self.kinds:
            tensors += its
        kinds = tuple(kind for kind, _, _, _ in self.kinds)
        spec = Spec(stride, targets, bool(self.identity), tuple(shared), kinds, self.eps or 0.0)
        moments = Moments()
        x = x.contiguous(memory_format=torch.channels_last)
        index = _index(self.index)
        masks = None if masks is None else masks[:, index]
        out: Tensor = Leaving.apply(spec, moments, masks, x, weights[index], *tensors)  # type: ignore[no-untyped-call]
        self._track(moments, out.shape[0] * out.shape[2] * out.shape[3])
        return out

    @torch.no_grad()
    def _track(self, moments: Moments, pixels: int) -> None:
        """Move the running statistics of the slices that ran."""
        correction = pixels / (pixels - 1)
        found = iter(moments.shared)
        if self.pools:
            mean, variance = next(found)
            for index, (_, group, norm) in enumerate(self.pools):
                _move(norm, group.slices, mean[index], variance[index] * correction)
        if self.halved is not None:
            mean, variance = next(found)
            _move(self.halved[1], self.halved[0].slices, mean, variance * correction)
        at, inner_at = 0, 0
        last, inner = (
            None if each is None else (each[0], each[1] * correction) for each in (moments.last, moments.inner)
        )
        for kind, group, norms, _ in self.kinds:
            assert last is not None
            here = slice(at, at + kind.slices)
            _move(norms[-1], group.slices, last[0][here], last[1][here])
            at += kind.slices
            if kind.separable:
                assert inner is not None
                here = slice(inner_at, inner_at + kind.slices)
                _move(norms[0], group.slices, inner[0][here], inner[1][here])
                inner_at += kind.slices


@lru_cache(maxsize=4096)
def _index(entries: tuple[tuple[int, ...], ...]) -> Tensor:
    return torch.tensor(entries)


def _move(norm: nn.BatchNorm2d, slices: tuple[int, ...], mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics [all slices, C] of the slices that ran, as the batch norm itself does."""
    if not (norm.training and norm.track_running_stats) or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    every = len(slices) == norm.running_mean.shape[0]
    at = slice(None) if every else list(slices)
    norm.num_batches_tracked[at] += 1
    share: Tensor | float
    if norm.momentum is None:  # the plain average of all batches
        share = 1.0 / norm.num_batches_tracked[at].to(mean.dtype).unsqueeze(1)
    else:
        share = norm.momentum
    for running, now in ((norm.running_mean, mean), (norm.running_var, variance)):
        if every and isinstance(share, float):
            running.lerp_(now.expand_as(running), share)
        else:
            running[at] += share * (now - running[at])
