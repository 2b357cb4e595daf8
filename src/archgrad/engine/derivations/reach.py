"""What a derived recurrent cell may not lack: its inputs move its output.

With one edge an operand every node may come to read the state alone, and a state that starts at zero then stays there
whatever the data are. The same holds where the data enter by a product whose other factor is zero as long as the state
is. So a cell reads an input if a change of it moves the output, at a state of zero for the data, at any for the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations

import torch

from archgrad.choices import Mixing, Support
from archgrad.network.recurrent import ACTIVATIONS
from archgrad.space.cells import CellSpace, Space

__all__ = ["chosen_combiners", "reading_inputs", "unread_inputs", "with_inputs_read"]

Way = tuple[int, int]
"""A row and a candidate of it."""


def with_inputs_read(
    supports: Mapping[str, Support], expected: Mapping[str, Mixing], space: Space
) -> dict[str, Support]:
    """Return the supports of all kinds, every cell reading the inputs that it must (:attr:`CellSpace.must_read`).

    Args:
        supports: what a rule keeps, by cell kind.
        expected: the mixings that it was made from.
        space: their graphs.
    """
    read = {}
    for kind, support in supports.items():
        cell, products = space.cells[kind], frozenset[int]()
        if cell.combiner is not None:
            ways = chosen_combiners(space.cells[cell.combiner], supports[cell.combiner])
            products = frozenset(node for node, way in zip(cell.computed, ways, strict=True) if way == "multiply")
        read[kind] = reading_inputs(support, expected[kind], cell, products)
    return read


def chosen_combiners(combiner: CellSpace, support: Support) -> tuple[str, ...]:
    """Return how every computed node joins its operands: the first way that its row keeps, or the first of all.

    Args:
        combiner: the nodes and the names of the ways.
        support: what is kept, nodes x ways.
    """
    return tuple(combiner.operations[row.index(True) if True in row else 0] for row in support)


def unread_inputs(support: Support, cell: CellSpace, products: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """Return the inputs of :attr:`CellSpace.must_read` that do not move the output.

    Args:
        support: what is kept, rows x candidates.
        cell: the graph and the names of the candidates.
        products: the nodes that multiply their operands; the others add them.
    """
    return tuple(node for node in cell.must_read if not _moves(support, cell, products, node))


def reading_inputs(
    support: Support, mixing: Mixing, cell: CellSpace, products: frozenset[int] = frozenset()
) -> Support:
    """Return the support with an edge more for each input that a cell has to read and does not.

    That edge is the strongest of those from the input which make it move the output; where none does, the strongest
    such pair into the two operands of one node. It stands beside what its node keeps anyway, so nothing that a rule
    decided is undone. Equal weights: the earlier edge, the earlier candidate. An input of which too little is alive
    stays unread.

    Args:
        support: what a rule keeps, rows x candidates.
        mixing: the expected mixing that it was made from.
        cell: the graph and the names of the candidates.
        products: the nodes that multiply their operands; the others add them.
    """
    for node in unread_inputs(support, cell, products):
        with_more = (_with(support, added, cell) for added in _additions(mixing, cell, node))
        support = next((more for more in with_more if _moves(more, cell, products, node)), support)
    return support


def _additions(mixing: Mixing, cell: CellSpace, node: int) -> Iterator[tuple[Way, ...]]:
    """Yield what is alive of the edges that leave a node, the strongest first; then pairs of them into one node."""
    weights: list[list[float]] = mixing.weights.detach().double().cpu().tolist()
    ways = [
        (row, k)
        for row, (source, _) in enumerate(cell.edges)
        for k, name in enumerate(cell.operations)
        if source == node and name != "none" and mixing.support[row][k]
    ]

    def strength(added: tuple[Way, ...]) -> float:
        return sum([weights[row][k] for row, k in added])

    yield from sorted(zip(ways), key=strength, reverse=True)
    operands = [
        (one, two)
        for one, two in combinations(ways, 2)
        if one[0] != two[0] and cell.edges[one[0]] == cell.edges[two[0]]
    ]
    yield from sorted(operands, key=strength, reverse=True)


def _with(support: Support, added: tuple[Way, ...], cell: CellSpace) -> Support:
    """Return the support with more in it; a row that gets an operation loses its ``none``."""
    rows = [list(row) for row in support]
    for row, k in added:
        rows[row] = [keeps and name != "none" for keeps, name in zip(rows[row], cell.operations, strict=True)]
        rows[row][k] = True
    return tuple(map(tuple, rows))


@cache
def _starts(name: str) -> bool:
    """Say whether an operation makes something of zero, as the sigmoid does."""
    return name in ACTIVATIONS and bool(ACTIVATIONS[name](torch.zeros(())) != 0)


def _moves(support: Support, cell: CellSpace, products: frozenset[int], moved: int) -> bool:
    """Say whether a change of an input moves the output; the other inputs are zero if it is the first one.

    Args:
        support: what is kept, rows x candidates.
        cell: the graph and the names of the candidates.
        products: the nodes that multiply their operands.
        moved: the input; the first one is the data, and it has to move the output from a state of zero.
    """
    moving, present = {moved}, set(range(moved + 1))
    for node in cell.computed:
        operands: dict[str | None, tuple[bool, bool]] = {}
        for row, (source, target) in enumerate(cell.edges):
            if target != node:
                continue
            kept = [name for name, keeps in zip(cell.operations, support[row], strict=True) if keeps and name != "none"]
            moves, is_there = operands.get(cell.row_operands[row], (False, False))
            operands[cell.row_operands[row]] = (
                moves or (bool(kept) and source in moving),
                is_there or (bool(kept) and source in present) or any(map(_starts, kept)),
            )
        some = [moves for moves, _ in operands.values()]
        there = [is_there for _, is_there in operands.values()]
        if any(some) and (node not in products or all(there)):
            moving.add(node)
        if all(there) if node in products else any(there):
            present.add(node)
    return any(node in moving for node in cell.output)
