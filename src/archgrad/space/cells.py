"""A cell of the space: its nodes, its edges in their one order, and the candidates on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from archgrad.space.skeleton import Skeleton

__all__ = ["CellSpace", "Space"]


@dataclass(frozen=True)
class CellSpace:
    """A directed acyclic graph in which every node may receive from every earlier one.

    Nodes are numbered with the inputs first: ``0 .. inputs-1`` are inputs, ``inputs .. inputs+nodes-1`` are computed.

    Args:
        inputs: number of input nodes.
        nodes: number of computed nodes.
        operations: names of the candidates of every edge, in the order of the choices' columns.
        output_combine: how the computed nodes become the cell's output.
    """

    inputs: int
    nodes: int
    operations: tuple[str, ...]
    output_combine: str = "concat"

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, target) of every row of the choices: targets ascending, then sources ascending."""
        computed = range(self.inputs, self.inputs + self.nodes)
        return tuple((source, target) for target in computed for source in range(target))

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """For every row what it competes for: its target node."""
        return tuple(target for _, target in self.edges)

    @property
    def output(self) -> tuple[int, ...]:
        """The nodes that are joined into the output."""
        return tuple(range(self.inputs, self.inputs + self.nodes))

    def slot(self, row: int) -> int:
        """Return which of its source's outgoing edges a row is: the index of its slice in the stacked storage."""
        source, target = self.edges[row]
        return target - max(source + 1, self.inputs)

    def slots(self, source: int) -> int:
        """Return how many edges leave a node."""
        return self.inputs + self.nodes - max(source + 1, self.inputs)


@dataclass(frozen=True)
class Space:
    """What may be found: one :class:`CellSpace` per cell kind, and the skeleton that stacks the cells.

    Args:
        name: its registered name, written into architecture.json.
        cells: cell kind ("normal", "reduce") -> what the cell may be.
        skeleton: stem, order of the cells, channels, reductions.
        network: flags of the derived network: ``pool_norm`` and ``node_norm``.
    """

    name: str
    cells: Mapping[str, CellSpace]
    skeleton: Skeleton
    network: Mapping[str, bool] = field(default_factory=lambda: {"pool_norm": False, "node_norm": False})
