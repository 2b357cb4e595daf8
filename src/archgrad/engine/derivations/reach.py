"""What a derived recurrent cell may not lack: its inputs move its output.

With one edge an operand every node may come to read the state alone, and a state that starts at zero then stays there
whatever the data are. The same holds where the data enter by a product whose other factor is zero as long as the state
is. So a cell reads an input if a change of it moves the output, at a state of zero for the data, at any for the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain, combinations

import torch

from archgrad.choices import Mixing, Support
from archgrad.network.recurrent import ACTIVATIONS
from archgrad.space.cells import CellSpace, Space

__all__ = ["reading_inputs", "unread_inputs", "with_inputs_read"]

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
        cell = space.cells[kind]
        product = _products(space.cells[cell.combiner], supports[cell.combiner]) if cell.combiner else frozenset()
        read[kind] = reading_inputs(support, expected[kind], cell, product)
    return read


def _products(combiner: CellSpace, support: Support) -> frozenset[int]:
    """Return the nodes that multiply their operands."""
    names = combiner.operations
    return frozenset(
        node
        for (node, _), row in zip(combiner.edges, support, strict=True)
        if names[row.index(True) if True in row else 0] == "multiply"
    )


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
    weights = mixing.weights.detach().double().cpu().tolist()
    for node in unread_inputs(support, cell, products):
        ways = sorted(_ways(mixing, cell, node), key=lambda way: -weights[way[0]][way[1]])
        pairs = sorted(
            (pair for pair in combinations(ways, 2) if _into_one_node(pair, cell)),
            key=lambda pair: -sum(weights[row][k] for row, k in pair),
        )
        for added in chain(((way,) for way in ways), pairs):
            more = _with(support, added, cell)
            if _moves(more, cell, products, node):
                support = more
                break
    return support


def _ways(mixing: Mixing, cell: CellSpace, node: int) -> Iterator[Way]:
    """Yield what is alive of the edges that leave a node."""
    for row, (source, _) in enumerate(cell.edges):
        for k, name in enumerate(cell.operations):
            if source == node and name != "none" and mixing.support[row][k]:
                yield row, k


def _into_one_node(pair: tuple[Way, Way], cell: CellSpace) -> bool:
    (first, _), (second, _) = pair
    return cell.edges[first] == cell.edges[second] and first != second


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
