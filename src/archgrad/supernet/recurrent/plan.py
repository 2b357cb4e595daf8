"""The plan of a recurrent cell: for every node, or operand of a node, which activation runs on which earlier state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from archgrad.choices.mixing import Support
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace

__all__ = ["Group", "Term", "make_recurrent_plan"]


@dataclass(frozen=True)
class Term:
    """One term of a sum.

    Args:
        source: node whose state is read.
        operation: the activation.
        edge: row of the mixing.
        candidate: column of the mixing.
    """

    source: int
    operation: str
    edge: int
    candidate: int


@dataclass(frozen=True)
class Group:
    """All terms that are averaged into a node, or into one of its operands; they share one matrix.

    Args:
        target: the node.
        slice: index into the stacked matrices.
        terms: what runs; empty where nothing does.
    """

    target: int
    slice: int
    terms: tuple[Term, ...]

    @property
    def sources(self) -> tuple[int, ...]:
        """The nodes that are read, ascending, each once."""
        return tuple(sorted({term.source for term in self.terms}))

    @property
    def operations(self) -> tuple[str, ...]:
        """The activations that run on any of them, in the order of the candidates."""
        return tuple(dict.fromkeys(term.operation for term in sorted(self.terms, key=lambda term: term.candidate)))


@lru_cache(maxsize=4096)
def make_recurrent_plan(cell: CellSpace, support: Support) -> tuple[Group, ...]:
    """Turn a cell and a support into groups, nodes ascending and operands in their order; ``none`` gets no term.

    Args:
        cell: the cell's graph and candidates.
        support: rows x candidates, what runs.

    Raises:
        InputError: the support's shape is not the cell's.
    """
    if len(support) != len(cell.edges) or any(len(row) != len(cell.operations) for row in support):
        raise InputError(
            f"The mixing has {len(support)} rows of {len(support[0]) if support else 0} candidates; "
            f"the cell has {len(cell.edges)} edges with {len(cell.operations)} candidates."
        )
    terms: dict[int, list[Term]] = {group: [] for group in cell.groups}
    for edge, ((source, _), group) in enumerate(zip(cell.edges, cell.groups, strict=True)):
        for candidate, operation in enumerate(cell.operations):
            if support[edge][candidate] and operation != "none":
                terms[group].append(Term(source, operation, edge, candidate))
    width = max(1, len(cell.operands))
    return tuple(Group(cell.inputs + index // width, index, tuple(found)) for index, found in enumerate(terms.values()))
