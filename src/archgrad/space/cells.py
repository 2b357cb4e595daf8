"""A cell of the space: its nodes, its edges in their one order, and the candidates on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from archgrad.space.skeleton import Skeleton

__all__ = ["CellSpace", "CombinerSpace", "Space"]


@dataclass(frozen=True)
class CellSpace:
    """A directed acyclic graph in which every node may receive from every earlier one.

    Nodes are numbered with the inputs first: ``0 .. inputs-1`` are inputs, ``inputs .. inputs+nodes-1`` are computed.

    Args:
        inputs: number of input nodes.
        nodes: number of computed nodes.
        operations: names of the candidates of every edge, in the order of the choices' columns.
        output_combine: how the computed nodes become the cell's output.
        operands: names of the operands that every computed node has, each with edges of its own; none: a plain sum.
        combiner: the cell kind whose table says how a node joins its operands.
        single: whether an edge carries one operation at most, whatever a derivation would keep.
        pool_norm: whether pooling is followed by batch norm in the supernet.
        must_read: inputs that must move the output of a derived cell, the data first.
    """

    inputs: int
    nodes: int
    operations: tuple[str, ...]
    output_combine: str = "concat"
    operands: tuple[str, ...] = ()
    combiner: str | None = None
    single: bool = False
    pool_norm: bool = True
    must_read: tuple[int, ...] = ()

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, target) of every row of the choices: targets ascending, then operands, then sources ascending."""
        computed, operands = range(self.inputs, self.inputs + self.nodes), max(1, len(self.operands))
        return tuple((source, target) for target in computed for _ in range(operands) for source in range(target))

    @cached_property
    def row_operands(self) -> tuple[str | None, ...]:
        """For every row the operand that it feeds, None where nodes have no operands."""
        computed, operands = range(self.inputs, self.inputs + self.nodes), self.operands or (None,)
        return tuple(operand for target in computed for operand in operands for _ in range(target))

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """For every row what it competes for: a number for its target node, or for (target node, operand)."""
        if not self.operands:
            return tuple(target for _, target in self.edges)
        return tuple(
            target * len(self.operands) + self.operands.index(str(operand))
            for (_, target), operand in zip(self.edges, self.row_operands, strict=True)
        )

    @property
    def computed(self) -> tuple[int, ...]:
        """The nodes that are computed."""
        return tuple(range(self.inputs, self.inputs + self.nodes))

    @property
    def output(self) -> tuple[int, ...]:
        """The nodes that are joined into the output."""
        return self.computed[-1:] if self.output_combine == "last" else self.computed

    def slot(self, row: int) -> int:
        """Return which of its source's outgoing edges a row is: the index of its slice in the stacked storage."""
        source, target = self.edges[row]
        return target - max(source + 1, self.inputs)

    def slots(self, source: int) -> int:
        """Return how many edges leave a node."""
        return self.inputs + self.nodes - max(source + 1, self.inputs)


@dataclass(frozen=True)
class CombinerSpace(CellSpace):
    """How every computed node of a cell joins its operands: a table of its own, one row a node.

    It stands beside the cell in :attr:`Space.cells`, so that whatever works on a cell kind's table works on it too.
    """

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(node, node) of every computed node."""
        return tuple((node, node) for node in self.computed)

    @cached_property
    def row_operands(self) -> tuple[str | None, ...]:
        """None for every row: a combiner joins all operands of its node."""
        return (None,) * self.nodes


@dataclass(frozen=True)
class Space:
    """What may be found: one :class:`CellSpace` per cell kind, and the skeleton that stacks the cells.

    Args:
        name: its registered name, written into architecture.json.
        cells: cell kind ("normal", "reduce") -> what the cell may be; combiners of two-input cells are a kind too.
        skeleton: stem, order of the cells, channels, reductions.
        network: flags of the derived network: ``pool_norm`` and ``node_norm``.
    """

    name: str
    cells: Mapping[str, CellSpace]
    skeleton: Skeleton
    network: Mapping[str, bool] = field(default_factory=lambda: {"pool_norm": False, "node_norm": False})

    @property
    def combiners(self) -> frozenset[str]:
        """The kinds that are no cells of their own but say how another cell's nodes join their operands."""
        return frozenset(cell.combiner for cell in self.cells.values() if cell.combiner is not None)
