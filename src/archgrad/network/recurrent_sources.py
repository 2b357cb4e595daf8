"""A derived recurrent cell read source by source: what is multiplied together, and what waits for the hidden state.

The cells in ``recurrent_cells.py`` go node by node, as the papers write them. To train them soon, all that reads one
state is one product, and what hangs on the input alone is done for all time steps at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archgrad.network.recurrent_cells import HighwayCell, TwoInputCell

__all__ = ["PREVIOUS", "Block", "Operand", "Sources", "Term", "activation_runs", "sources_of"]

PREVIOUS = -1
"""The number of h_{t-1} among the states; the cell's nodes count from 0."""

ORDER = ("sigmoid", "tanh", "relu", "identity")
"""Of the terms that leave one state: gates are sigmoids too and stand before them, so one call takes both."""

Operand = tuple["Term", ...]


@dataclass(frozen=True)
class Term:
    """One edge: scale * f(s W), or scale * (s + c (f(h) - s)) with [c, h] = s W.

    Args:
        source: node whose state s is read, or :data:`PREVIOUS`.
        target: node that it goes to.
        operand: which of the target's operands.
        activation: f.
        scale: the edge's share of the average, w_e / max(1, sum_e w_e).
        matrix: name of the parameter W.
        row: of the parameter, where the rows of s begin.
        number: tells edges apart that are equal in all else.
    """

    source: int
    target: int
    operand: int
    activation: str
    scale: float
    matrix: str
    row: int = 0
    number: int = 0


@dataclass(frozen=True)
class Block:
    """H columns of a parameter: rows from ``row`` on, columns from ``column * H`` on."""

    matrix: str
    row: int
    column: int


@dataclass(frozen=True)
class Sources:
    """A cell without what no output hangs on.

    Args:
        gated: whether an edge has a gate: the cells of ``darts-rnn``.
        nodes: node -> its operands, each the terms that are added up in it; without those that the input makes alone.
        combine: node -> "add" or "multiply" where it has two operands.
        outputs: the nodes that are joined, in their order.
        entering: the name of the parameter that takes the input x_t.
        entered: the node that is x_t W; None where x_t W is added to the first product of h_{t-1}.
    """

    gated: bool
    nodes: dict[int, tuple[Operand, ...]]
    combine: dict[int, str]
    outputs: tuple[int, ...]
    entering: str
    entered: int | None

    def leaving(self) -> dict[int, tuple[Term, ...]]:
        """Return what leaves every state that is read, in the order of :data:`ORDER`."""
        found: dict[int, list[Term]] = {}
        for term in self.terms():
            found.setdefault(term.source, []).append(term)
        return {
            source: tuple(sorted(terms, key=lambda term: (ORDER.index(term.activation), term.target, term.operand)))
            for source, terms in sorted(found.items())
        }

    @property
    def reads_input(self) -> bool:
        """Whether an output hangs on the input x_t."""
        if self.entered is None:
            return 0 in self.nodes
        return self.entered in self.outputs or any(term.source == self.entered for term in self.terms())

    def terms(self) -> Iterator[Term]:
        """Return all terms, target by target."""
        return (term for operands in self.nodes.values() for operand in operands for term in operand)

    def ahead(self) -> frozenset[int]:
        """Return the nodes that do not hang on h_{t-1}: they can be computed for all time steps at once."""
        found = set() if self.entered is None else {self.entered}
        for node, operands in self.nodes.items():
            if all(term.source in found for operand in operands for term in operand):
                found.add(node)
        return frozenset(found)

    def blocks(self, terms: Sequence[Term]) -> list[Block]:
        """Return which columns of which parameters the terms of one source are multiplied by: gates, then the rest."""
        columns = range(2 if self.gated else 1)
        return [Block(term.matrix, term.row, column) for column in columns for term in terms]


def sources_of(cell: HighwayCell | TwoInputCell) -> Sources:
    """Return a derived cell source by source."""
    outputs = tuple(cell.output[-1:] if cell.how == "last" else cell.output)
    if isinstance(cell, HighwayCell):
        first = Term(PREVIOUS, 0, 0, "tanh", 1.0, "enter", cell.enter.shape[0] - cell.enter.shape[1] // 2)
        nodes: dict[int, tuple[Operand, ...]] = {0: ((first,),)}
        for node, terms in enumerate(cell.terms, start=1):
            nodes[node] = (_operand(terms, node, 0, f"weights.{node}"),)
        return Sources(True, _living(nodes, outputs), {}, outputs, "enter", None)
    nodes = {1: ((Term(PREVIOUS, 1, 0, "identity", 1.0, "enter_h"),),)}
    for node, both in enumerate(cell.terms, start=2):
        nodes[node] = tuple(
            _operand(terms, node, place, f"weights.{node}{name}")
            for place, (name, terms) in enumerate(zip("ab", both, strict=True))
        )
    combine = dict(enumerate(cell.combine, start=2))
    return Sources(False, _living(nodes, outputs), combine, outputs, "enter_x", 0)


def activation_runs(terms: Sequence[Term], gates: int) -> list[tuple[str, int, int]]:
    """Return which blocks one activation runs on, as (its name, first block, block after the last).

    Args:
        terms: of one source, in the order of :data:`ORDER`.
        gates: blocks before those of the terms; they are sigmoids.
    """
    names, found, start = ["sigmoid"] * gates + [term.activation for term in terms], [], 0
    for name, run in itertools.groupby(names):
        end = start + len(list(run))
        found.append((name, start, end))
        start = end
    return found


def _operand(edges: Sequence[tuple[int, str, float]], target: int, operand: int, matrix: str) -> Operand:
    """Return the terms of one operand; their scales are those of :func:`archgrad.network.recurrent.average`."""
    mass = max(1.0, sum(weight for _, _, weight in edges))
    return tuple(
        Term(source, target, operand, name, weight / mass, matrix, number=number)
        for number, (source, name, weight) in enumerate(edges)
    )


def _living(nodes: dict[int, tuple[Operand, ...]], outputs: Sequence[int]) -> dict[int, tuple[Operand, ...]]:
    """Return the nodes that an output hangs on: plain evaluation gives the matrices of all others no gradient."""
    wanted, waiting = set(), list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in wanted:
            wanted.add(node)
            waiting += [term.source for operand in nodes.get(node, ()) for term in operand]
    return {node: operands for node, operands in nodes.items() if node in wanted}
