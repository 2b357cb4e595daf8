"""What stays what when a cell grows: for every entry of the grown form the one before that it comes from.

One description serves the storage, the tables of choices, the optimisers' memory and the checkpoint: rows, slices and
channels all follow from which node is which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archgrad.space.cells import CellSpace
from archgrad.space.form import Form

__all__ = ["Axis", "Change", "NEW"]

NEW = -1
"""Stands for an entry that comes from none before."""


@dataclass(frozen=True)
class Axis:
    """Where the entries of one dimension come from.

    Args:
        of: for every entry its place before, or :data:`NEW`.
        own: whether it *is* that entry, whose optimiser memory it keeps; False for a copy, which starts without any.
        share: a factor for every entry, where one before is divided among several; None for no factors.
    """

    of: tuple[int, ...]
    own: tuple[bool, ...]
    share: tuple[float, ...] | None = None

    @classmethod
    def same(cls, count: int) -> Axis:
        """Return the axis of a dimension that stays as it is."""
        return cls(tuple(range(count)), (True,) * count)

    @classmethod
    def from_places(cls, of: tuple[int, ...]) -> Axis:
        """Return the axis of entries that are old ones or new ones, no copies."""
        return cls(of, tuple(place != NEW for place in of))

    @property
    def unchanged(self) -> bool:
        """Whether the dimension stays as it is."""
        return self.of == tuple(range(len(self.of))) and all(self.own) and self.share is None

    def blocks(self, size: int) -> Axis:
        """Return the axis of a dimension in which every entry is a block of so many places."""
        return Axis(
            tuple(NEW if place == NEW else place * size + k for place in self.of for k in range(size)),
            tuple(own for own in self.own for _ in range(size)),
        )


@dataclass(frozen=True)
class Change:
    """One growth step.

    Args:
        before: the form that grows.
        after: the form that it becomes.
        nodes: by cell kind, for every node after it (inputs first) the node before, or :data:`NEW`.
        candidates: by cell kind, the same for the candidates.
        layers: the same for the layers of a stack.
        copies: by cell kind, new edge (source, target) -> the edge before whose weights and choices it starts with.
        widths: for every width before (see :mod:`archgrad.supernet.grown.widening`) which unit is which; None: all
            stay.
        record: what happened, as plain data for the log.
    """

    before: Form
    after: Form
    nodes: Mapping[str, tuple[int, ...]]
    candidates: Mapping[str, tuple[int, ...]]
    layers: tuple[int, ...] = ()
    copies: Mapping[str, Mapping[tuple[int, int], tuple[int, int]]] = field(default_factory=dict)
    widths: Mapping[int, Axis] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def between(cls, before: Form, after: Form, **changed: Any) -> Change:
        """Return a change in which all that is not given keeps its place, and what is more comes last."""
        cells = after.space.cells
        given: dict[str, Any] = {
            "nodes": {
                kind: tuple(range(_size(was))) + (NEW,) * (_size(cells[kind]) - _size(was))
                for kind, was in before.space.cells.items()
            },
            "candidates": {
                kind: tuple(was.operations.index(name) if name in was.operations else NEW for name in cell.operations)
                for (kind, was), cell in zip(before.space.cells.items(), cells.values(), strict=True)
            },
            "layers": tuple(range(len(before.layers))),
        }
        return cls(before, after, **(given | changed))

    def edge(self, kind: str, source: int, target: int) -> tuple[tuple[int, int] | None, bool]:
        """Return the edge before that an edge after comes from, or None, and whether it is that edge, not a copy."""
        old = self.nodes[kind][source], self.nodes[kind][target]
        if NEW not in old:
            return old, True
        return self.copies.get(kind, {}).get((source, target)), False

    def rows(self, kind: str) -> Axis:
        """Return the axis of a table's rows."""
        was, now = self.before.space.cells[kind], self.after.space.cells[kind]
        places = {key: row for row, key in enumerate(zip(was.edges, was.row_operands, strict=True))}
        found = []
        for (source, target), operand in zip(now.edges, now.row_operands, strict=True):
            edge, own = self.edge(kind, source, target)
            found.append((NEW if edge is None else places[edge, operand], own and edge is not None))
        return Axis(tuple(place for place, _ in found), tuple(own for _, own in found))

    def groups(self, kind: str) -> Axis:
        """Return the axis of what has an entry per group of rows, groups ascending."""
        was, now = self.before.space.cells[kind], self.after.space.cells[kind]
        order, width = {group: place for place, group in enumerate(sorted(set(was.groups)))}, max(1, len(now.operands))
        places = []
        for group in sorted(set(now.groups)):
            node = self.nodes[kind][group // width]
            places.append(NEW if node == NEW else order[node * width + group % width])
        return Axis.from_places(tuple(places))

    def computed(self, kind: str) -> Axis:
        """Return the axis of what has an entry per computed node."""
        inputs = self.before.space.cells[kind].inputs
        return Axis.from_places(tuple(NEW if node == NEW else node - inputs for node in self.nodes[kind][inputs:]))

    def slices(self, kind: str, source: int) -> Axis:
        """Return the axis of the stacked weights of one operation that leave a node: a slice per later node."""
        was, now = self.before.space.cells[kind], self.after.space.cells[kind]
        places, owns = [], []
        for target in range(max(source + 1, now.inputs), _size(now)):
            edge, own = self.edge(kind, source, target)
            places.append(NEW if edge is None else edge[1] - max(edge[0] + 1, was.inputs))
            owns.append(own and edge is not None)
        return Axis(tuple(places), tuple(owns))

    def elder(self, kind: str) -> tuple[tuple[bool, ...], ...]:
        """Return, rows x candidates, what a table shows while the ramp is at 0.

        All that leads into a new node is shown: the node itself stands behind a gate. What newly leads into a node of
        before is not.
        """
        now, rows = self.after.space.cells[kind], self.rows(kind)
        old = [candidate != NEW for candidate in self.candidates[kind]]
        return tuple(
            (True,) * len(old) if self.nodes[kind][target] == NEW else tuple(known and own for known in old)
            for (_, target), own in zip(now.edges, rows.own, strict=True)
        )

    def young(self, kind: str) -> tuple[bool, ...]:
        """Return which rows are young: new ones, and those with a new candidate."""
        return tuple(
            not own or not all(shown) for own, shown in zip(self.rows(kind).own, self.elder(kind), strict=True)
        )


def _size(cell: CellSpace) -> int:
    return cell.inputs + cell.nodes
