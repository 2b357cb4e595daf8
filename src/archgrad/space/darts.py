"""The space of DARTS for images (arXiv 1806.09055, section 3.1.1; papers: DARTS, SNAS, EnTranNAS, DARTS-PRIME)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.errors import InputError, unknown
from archgrad.network.modules import OPERATIONS
from archgrad.space.cells import CellSpace, Space
from archgrad.space.skeleton import Skeleton

__all__ = ["DARTS_OPERATIONS", "DartsSpace", "two_kinds"]

DARTS_OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


@dataclass(frozen=True)
class DartsSpace:
    """Normal and reduction cell of 2 inputs and 4 nodes, 14 edges, 8 candidates (7 without ``none``).

    Args:
        none: whether "no connection" is a candidate; the recipe decides (DARTS and SNAS: yes).
        nodes: computed nodes of a cell.
        operations: names of the candidates instead of the eight of DARTS.
        pool_norm: whether pooling is followed by batch norm in the derived network too (SNAS: yes).
    """

    none: bool = True
    nodes: int = 4
    operations: tuple[str, ...] | None = None
    pool_norm: bool = False

    @staticmethod
    def known_operations() -> tuple[str, ...]:
        """Return every operation that an architecture of this space may name: the user's registered ones too."""
        return tuple(OPERATIONS)

    @staticmethod
    def skeleton() -> Skeleton:
        """Return how networks of this space are stacked."""
        return Skeleton()

    def __call__(self) -> Space:
        """Build the space.

        Raises:
            InputError: no node, no candidate but ``none``, or an unknown operation.
        """
        names = tuple(self.operations) if self.operations else DARTS_OPERATIONS
        return two_kinds("darts", names, self.skeleton(), none=self.none, nodes=self.nodes, pool_norm=self.pool_norm)


def two_kinds(
    name: str, operations: Sequence[str], skeleton: Skeleton, *, none: bool, nodes: int, pool_norm: bool
) -> Space:
    """Build a space whose normal and reduction cells have two inputs and the same candidates.

    Args:
        name: the space's registered name.
        operations: names of the candidates; repeated ones count once.
        skeleton: how the cells are stacked.
        none: whether "no connection" may be among the candidates.
        nodes: computed nodes of a cell.
        pool_norm: whether pooling is followed by batch norm in the derived network too.

    Raises:
        InputError: no node, no candidate but ``none``, or an unknown operation.
    """
    if nodes < 1:
        raise InputError(f"space.nodes is {nodes}; a cell needs at least 1 node.")
    for operation in operations:
        if operation not in OPERATIONS:
            raise unknown("operation", operation, OPERATIONS, "space.operations")
    candidates = tuple(dict.fromkeys(operation for operation in operations if none or operation != "none"))
    if set(candidates) <= {"none"}:
        raise InputError("space.operations needs at least one operation besides 'none'.")
    cell = CellSpace(inputs=2, nodes=nodes, operations=candidates)
    return Space(name, {"normal": cell, "reduce": cell}, skeleton, {"pool_norm": pool_norm, "node_norm": False})
