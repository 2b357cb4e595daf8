"""The fast evaluation of a cell: everything that leaves a node is computed together, and nothing is kept twice.

The reference walks over the rows of a plan; here the rows of one source are grouped by kind, with all slices side by
side, and one autograd function (:mod:`archgrad.supernet.leaving.function`) adds all their terms for all later nodes.
Rows that it does not know, such as operations of a user's own, go the reference's way beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing
from archgrad.supernet import reference
from archgrad.supernet.leaving.collect import Collected, Group
from archgrad.supernet.leaving.statistics import Statistics
from archgrad.supernet.plan import Plan, Row
from archgrad.supernet.reference import closed, path_masks
from archgrad.supernet.storage import CellStorage

__all__ = ["as_for_batch", "evaluate_cell", "row_by_row"]

FEW = 1.75  # evaluations per (source, operation) below which calling them one by one makes fewer calls
SMALL = 2**19  # numbers that all evaluations together give, below which calls cost more than arithmetic (measured)

_batch: ContextVar[int | None] = ContextVar("batch", default=None)


@lru_cache(maxsize=4096)
def row_by_row(plan: Plan, values: int) -> bool:
    """Say whether a cell's training forward is quicker the reference's way: few slices side by side, and all small.

    What leaves a node together takes about as many calls for one slice of an operation as for four, some 35 with the
    backward, where the reference makes 20 an evaluation. So Transit-cells and cells with shared features, which have
    one slice of everything, go row by row while calls are what they cost. The rule asks sizes and never a clock: the
    same search takes the same way on every machine. Going row by row keeps more for the backward, at most some ten
    numbers for each that the bound allows.

    Args:
        plan: of the cell.
        values: numbers in the state of one of its nodes, N C H W.
    """
    groups = len({(row.source, row.operation) for row in plan.rows})
    return plan.evaluations < FEW * groups and plan.evaluations * values < SMALL


@contextmanager
def as_for_batch(count: int) -> Iterator[None]:
    """Within it :func:`row_by_row` decides as for so many examples: few then tell what the whole batch will need."""
    token = _batch.set(count)
    try:
        yield
    finally:
        _batch.reset(token)


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
    *,
    together: bool = False,
) -> list[Tensor]:
    """Compute what :func:`archgrad.supernet.reference.evaluate_cell` computes, with the same arguments.

    The reference itself is taken where the fast path does not apply: under autocast, on other devices than a CPU, for
    gradients outside training, and for training batches of one pixel; and where it does not pay (:func:`row_by_row`),
    unless ``together`` is asked for: a cell that grows would change from one way to the other, and round otherwise.
    """
    count, channels, height, width = inputs[0].shape
    pixels, training = count * -(-height // stride) * -(-width // stride), storage.training
    values = pixels // count * (_batch.get() or count) * channels
    plain = inputs[0].device.type != "cpu" or torch.is_autocast_enabled("cpu")
    apart = pixels < 2 or (not together and row_by_row(plan, values))
    if plain or (apart if training else torch.is_grad_enabled()):
        return reference.evaluate_cell(plan, storage, inputs, mixing, norms, stride, drop)
    states, statistics = list(inputs), Statistics()
    rows, candidates = mixing.weights.shape
    masks = path_masks(plan, drop, inputs[0])
    table = None
    if masks is not None:  # laid out as the weights are
        table = masks.new_zeros(count, rows * candidates + 1)
        table[:, [row.edge * candidates + row.candidate for row in plan.rows]] = masks.t()
    leaving = []
    for source in range(len(inputs) + len(norms)):
        targets, groups = groups_of(plan, source, rows, candidates)
        collected = Collected(channels, rows * candidates, training)
        for group in groups:
            collected.take(group, storage.bank(source, group.operation))
        leaving.append((targets, collected))
    taken = _taken(mixing.weights, table, [(collected.index, len(targets)) for targets, collected in leaving])
    totals: dict[int, Tensor] = {}

    def add(target: int, term: Tensor) -> None:
        totals[target] = totals[target] + term if target in totals else term

    for source in range(len(inputs) + len(norms)):
        if source >= len(inputs):
            states.append(closed(totals.pop(source, None), norms[source - len(inputs)], inputs[0], stride))
        (targets, collected), (weights, dropped) = leaving[source], taken[source]
        if len(weights):
            x, step = states[source], stride if source < len(inputs) else 1
            if training:
                sums = collected.sums(x, step, weights, dropped, statistics)
            else:
                sums = collected.evaluated(x, step, weights)
            for target, term in zip(targets, sums.split(channels, dim=1), strict=True):
                add(target, term)
        for row, feature in _plainly(storage, states[source], plan, collected.unknown, source):
            if table is not None and feature is not states[source]:
                feature = feature * table[:, row.edge * candidates + row.candidate, None, None, None]
            add(row.target, mixing.weights[row.edge, row.candidate] * feature)
    statistics.write(pixels)
    return states[len(inputs) :]


def _taken(
    weights: Tensor, masks: Tensor | None, wanted: Sequence[tuple[tuple[tuple[int, ...], ...], int]]
) -> list[tuple[Tensor, Tensor | None]]:
    """Return weights [rows, targets] and masks [N, rows, targets] of every source, gathered for all of them at once.

    Args:
        weights: of the mixing.
        masks: of dropped paths, [N, entries of the mixing and one behind them], or None.
        wanted: positions in the flattened mixing, or behind its end where there is no weight; and how many targets.
    """
    index = _index(tuple(entry for rows, _ in wanted for row in rows for entry in row))
    sizes = [len(rows) * targets for rows, targets in wanted]
    padded = torch.cat([weights.flatten(), weights.new_zeros(1)])
    parts = padded.index_select(0, index).split(sizes)
    shapes = [(len(rows), max(targets, 1)) for rows, targets in wanted]
    dropped: Sequence[Tensor | None] = [None] * len(parts)
    if masks is not None:
        dropped = masks.index_select(1, index).split(sizes, dim=1)
    return [
        (part.view(shape), None if mask is None else mask.reshape(len(mask), *shape))
        for part, mask, shape in zip(parts, dropped, shapes, strict=True)
    ]


@lru_cache(maxsize=4096)
def _index(entries: tuple[int, ...]) -> Tensor:
    return torch.tensor(entries, dtype=torch.int64)


def _plainly(
    storage: CellStorage, state: Tensor, plan: Plan, groups: Sequence[Group], source: int
) -> list[tuple[Row, Tensor]]:
    """Run operations the reference's way, each slice once."""
    found = []
    for group in groups:
        bank = storage.bank(source, group.operation)
        bank.bind(group.slices)
        features = {index: bank.run(index, state) for index in group.slices}
        bank.release()
        rows = (row for row in plan.rows if row.source == source and row.operation == group.operation)
        found += [(row, features[row.slice]) for row in rows]
    return found
