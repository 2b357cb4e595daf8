"""The extended space of EnTranNAS (arXiv 2101.11342): DARTS' cells with larger and plain convolutions besides.

What the paper's extended space consists of was not found; these four further candidates are a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.network.modules import OPERATIONS
from archgrad.space.cells import Space
from archgrad.space.darts import DARTS_OPERATIONS, two_kinds
from archgrad.space.skeleton import Skeleton

__all__ = ["EXTENDED_OPERATIONS", "ExtendedSpace"]

EXTENDED_OPERATIONS = (*DARTS_OPERATIONS, "sep_conv_7x7", "conv_7x1_1x7", "conv_1x1", "conv_3x3")


@dataclass(frozen=True)
class ExtendedSpace:
    """Cells as in ``darts``, 11 candidates (12 with ``none``).

    Args:
        none: whether "no connection" is a candidate.
        nodes: computed nodes of a cell.
        operations: names of the candidates instead of these.
        pool_norm: whether pooling is followed by batch norm in the derived network too.
    """

    none: bool = False
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
        names = tuple(self.operations) if self.operations else EXTENDED_OPERATIONS
        return two_kinds("extended", names, self.skeleton(), none=self.none, nodes=self.nodes, pool_norm=self.pool_norm)
