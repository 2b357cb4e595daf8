"""The space of NAS-Bench-201 (arXiv 2001.00326), which NATS-Bench calls its topology space: small and tabulated.

Every one of its 15,625 cells was trained, so a table says what a found cell is worth; see
:mod:`archgrad.space.nasbench201_strings` for the names of its cells.
"""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.errors import InputError
from archgrad.space.cells import CellSpace, Space
from archgrad.space.skeleton import Stages

__all__ = ["CHANNELS", "CELLS", "NAME", "NASBENCH201_OPERATIONS", "NasBench201Space"]

NAME = "nasbench201"
CELLS = 15
"""Cells of the published network, five a stage."""
CHANNELS = 16
"""Channels of the first stage of the published network."""

NASBENCH201_OPERATIONS = ("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3")
"""In the order of the benchmark's own code; its convolutions are called nor_conv_1x1 and nor_conv_3x3 there."""


@dataclass(frozen=True)
class NasBench201Space:
    """One cell of 4 nodes and 6 edges, one input; the last node is the output; 5 candidates (4 without ``none``).

    An edge carries one operation, and one that carries nothing is ``none``. Pooling is followed by no batch norm, in
    the supernet neither.

    Args:
        none: whether "no connection" is a candidate; the recipe decides (DARTS and SNAS: yes).
        nodes: computed nodes of a cell; the tables are for 3.
    """

    none: bool = True
    nodes: int = 3

    @staticmethod
    def known_operations() -> tuple[str, ...]:
        """Return every operation that an architecture of this space may name."""
        return NASBENCH201_OPERATIONS

    @staticmethod
    def skeleton() -> Stages:
        """Return how networks of this space are stacked."""
        return Stages()

    def __call__(self) -> Space:
        """Build the space.

        Raises:
            InputError: no node.
        """
        if self.nodes < 1:
            raise InputError(f"space.nodes is {self.nodes}; a cell needs at least 1 node.")
        candidates = NASBENCH201_OPERATIONS if self.none else NASBENCH201_OPERATIONS[1:]
        cell = CellSpace(1, self.nodes, candidates, output_combine="last", single=True, pool_norm=False)
        return Space(NAME, {"normal": cell}, self.skeleton())
