"""What the fast evaluation of a recurrent cell takes from a mixing: for every source, where its state goes.

The formulas go target by target; a state that is there goes through the matrices of all its targets at once, so the
fast evaluation goes source by source. Averages are taken off here: a weight is divided by the mass of its node or
operand, once a sequence and not once a time step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing, Support
from archgrad.network.recurrent import average
from archgrad.space.cells import CellSpace
from archgrad.supernet.recurrent.over_time import OverTime
from archgrad.supernet.recurrent.plan import make_recurrent_plan
from archgrad.supernet.recurrent.rules import Shares

__all__ = ["BySource", "Source", "scaled", "sources_of"]


@dataclass(frozen=True)
class Source:
    """What leaves one node.

    Args:
        targets: the slices of the storage that read it, ascending; one per node, or per operand of a node.
        rows: rows of the mixing, in the order of the targets.
        operations: activations that run on any of these rows.
        columns: their columns of the mixing.
    """

    targets: tuple[int, ...]
    rows: tuple[int, ...]
    operations: tuple[str, ...]
    columns: tuple[int, ...]


@lru_cache(maxsize=4096)
def sources_of(cell: CellSpace, support: Support) -> tuple[Source | None, ...]:
    """Return what leaves every node, entering ones first; None where nothing does."""
    found: list[Source | None] = []
    terms = [(group.slice, term) for group in make_recurrent_plan(cell, support) for term in group.terms]
    for node in range(cell.inputs + cell.nodes):
        leaving = [(target, term) for target, term in terms if term.source == node]
        if not leaving:
            found.append(None)
            continue
        rows = dict(sorted((target, term.edge) for target, term in leaving))
        columns = {term.candidate: term.operation for _, term in sorted(leaving, key=lambda each: each[1].candidate)}
        found.append(Source(tuple(rows), tuple(rows.values()), tuple(columns.values()), tuple(columns)))
    return tuple(found)


def scaled(cell: CellSpace, mixing: Mixing) -> Tensor:
    """Return p_ji^k / max(1, sum_jk p_ji^k) [rows, candidates]: the average of a node taken into its weights.

    Dividing the weights once a sequence gives the same as dividing every node's sum at every time step. What is
    ``none`` or outside the support is 0 and has no gradient.
    """
    runs = torch.tensor(mixing.support, device=mixing.weights.device)
    if "none" in cell.operations:
        runs[:, cell.operations.index("none")] = False
    weights = mixing.weights.masked_fill(~runs, 0.0)
    places = {group: place for place, group in enumerate(dict.fromkeys(cell.groups))}
    group = torch.tensor([places[each] for each in cell.groups], device=weights.device)
    mass = weights.new_zeros(len(places)).index_add(0, group, weights.sum(dim=1))
    return average(weights, mass[group, None])


class BySource:
    """A mixing and the stacked matrices, source by source; the same at every time step that gets this mixing.

    Args:
        cell: the graph and its candidates.
        mixing: weights and support of its edges.
        stack: W of every target, [slices, H, width].
    """

    def __init__(self, cell: CellSpace, mixing: Mixing, stack: Tensor) -> None:
        self.entering, self.slices = cell.inputs, len(stack)
        found, count = sources_of(cell, mixing.support), itertools.count()
        self.numbers = [None if source is None else next(count) for source in found]
        """Of every node, entering ones first: which of the sources it is; None where nothing leaves it."""
        self.sources = [source for source in found if source is not None]
        self.targets = [_index(source, stack.device) for source in self.sources]
        """Of every source, its targets as an index, which is a slice where they follow one another."""
        weights = scaled(cell, mixing)
        tables = [weights[list(source.rows)][:, list(source.columns)] for source in self.sources]
        self.to_tables = OverTime(len(tables))
        shares = zip(self.to_tables.shared(tables), self.sources, strict=True)
        self.shares = [Shares.of(table, source.operations) for table, source in shares]
        """Of every source."""
        blocks = stack.shape[2] // stack.shape[1]
        matrices = [block.contiguous() for index in self.targets for block in stack[index].chunk(blocks, dim=2)]
        self.to_matrices = OverTime(len(matrices))
        self.matrices = self.to_matrices.shared(matrices)
        """Of every source, for every block of H columns, [targets, H, H]: activations are quick where they lie."""


def _index(source: Source, device: torch.device) -> slice | Tensor:
    first, last = source.targets[0], source.targets[-1]
    follow = last - first + 1 == len(source.targets)
    return slice(first, last + 1) if follow else torch.tensor(source.targets, device=device)
