"""The plan of a cell: which operation runs on which node's output, with which slice of the weights, into which node.

A changing support, feature sharing and growth change the plan or the storage, never the evaluators.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from archgrad.choices.mixing import Support
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace

__all__ = ["Plan", "Row", "make_plan"]


@dataclass(frozen=True)
class Row:
    """One term of a node's sum.

    Args:
        source: node whose state the operation reads.
        operation: name of the candidate.
        slice: index into the stacked weights of (source, operation).
        target: node that the term is added to.
        edge: row of the mixing.
        candidate: column of the mixing.
    """

    source: int
    operation: str
    slice: int
    target: int
    edge: int
    candidate: int

    @property
    def feature(self) -> tuple[int, str, int]:
        """What identifies the computed feature: rows with an equal one are computed once."""
        return self.source, self.operation, self.slice


@dataclass(frozen=True)
class Plan:
    """All rows of a cell by target node."""

    rows: tuple[Row, ...]

    def into(self, target: int) -> tuple[Row, ...]:
        """Return the rows that are summed into a node."""
        return tuple(row for row in self.rows if row.target == target)

    @property
    def evaluations(self) -> int:
        """How many operations are really computed."""
        return len({row.feature for row in self.rows})


@lru_cache(maxsize=4096)
def make_plan(cell: CellSpace, support: Support, share_features: bool = False) -> Plan:
    """Turn a cell and a support into a plan; ``none`` contributes nothing and gets no row.

    Args:
        cell: the cell's graph and candidates.
        support: rows x candidates, what runs.
        share_features: one set of weights per (source, operation), computed once for all later nodes.

    Raises:
        InputError: the support's shape is not the cell's.
    """
    if len(support) != len(cell.edges) or any(len(row) != len(cell.operations) for row in support):
        raise InputError(
            f"The mixing has {len(support)} rows of {len(support[0]) if support else 0} candidates; "
            f"the cell has {len(cell.edges)} edges with {len(cell.operations)} candidates."
        )
    return Plan(
        tuple(
            Row(source, operation, 0 if share_features else cell.slot(edge), target, edge, candidate)
            for edge, (source, target) in enumerate(cell.edges)
            for candidate, operation in enumerate(cell.operations)
            if support[edge][candidate] and operation != "none"
        )
    )
