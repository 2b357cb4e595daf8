"""The space of DARTS for images (arXiv 1806.09055, section 3.1.1; papers: DARTS, SNAS, EnTranNAS, DARTS-PRIME)."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.errors import InputError, unknown
from archgrad.network.modules import OPERATIONS
from archgrad.space.cells import CellSpace, Space
from archgrad.space.skeleton import Skeleton

__all__ = ["DARTS_OPERATIONS", "DartsSpace"]

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
        if self.nodes < 1:
            raise InputError(f"space.nodes is {self.nodes}; a cell needs at least 1 node.")
        names = tuple(self.operations) if self.operations else DARTS_OPERATIONS
        for name in names:
            if name not in OPERATIONS:
                raise unknown("operation", name, OPERATIONS, "space.operations")
        names = tuple(dict.fromkeys(name for name in names if self.none or name != "none"))
        if set(names) <= {"none"}:
            raise InputError("space.operations needs at least one operation besides 'none'.")
        cell = CellSpace(inputs=2, nodes=self.nodes, operations=names)
        return Space(
            "darts",
            {"normal": cell, "reduce": cell},
            self.skeleton(),
            {"pool_norm": self.pool_norm, "node_norm": False},
        )
