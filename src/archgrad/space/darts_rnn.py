"""The recurrent space of DARTS (arXiv 1806.09055, section 3.1.2; papers: DARTS, DARTS-PRIME, growing DARTS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.errors import InputError, unknown
from archgrad.network.recurrent import ACTIVATIONS
from archgrad.space.cells import CellSpace, Space
from archgrad.space.skeleton import TimeSteps

__all__ = ["OUTPUTS", "RECURRENT_OPERATIONS", "DartsRnnSpace", "checked_activations"]

RECURRENT_OPERATIONS = ("none", "tanh", "relu", "sigmoid", "identity")
"""The candidates of an edge, in the order of DARTS' public code."""

OUTPUTS = ("mean", "learned", "last")
"""How the nodes of a recurrent cell may become its output."""


@dataclass(frozen=True)
class DartsRnnSpace:
    """Recurrent cell of DARTS: 8 gated nodes, each with one candidate activation per earlier node; output their mean.

    Node 0 merges x_t and h_{t-1}; nodes 1 to 8 read every earlier one.

    Args:
        nodes: computed nodes (DARTS: 8).
        none: whether "no connection" is a candidate (DARTS: yes).
        operations: names of the activations instead of the four of DARTS.
        output: "mean" of the nodes (DARTS), "learned" for a trained convex combination, or the "last" node.
    """

    nodes: int = 8
    none: bool = True
    operations: tuple[str, ...] | None = None
    output: str = "mean"

    @staticmethod
    def known_operations() -> tuple[str, ...]:
        """Return every operation that an architecture of this space may name."""
        return ("none", *ACTIVATIONS)

    @staticmethod
    def skeleton() -> TimeSteps:
        """Return how networks of this space are made: one cell over time."""
        return TimeSteps()

    def __call__(self) -> Space:
        """Build the space.

        Raises:
            InputError: no node, no candidate but ``none``, or an unknown activation or output.
        """
        names = checked_activations(self.nodes, self.none, self.operations, self.output)
        cell = CellSpace(inputs=1, nodes=self.nodes, operations=names, output_combine=self.output, must_read=(0,))
        return Space("darts-rnn", {"recurrent": cell}, self.skeleton())


def checked_activations(nodes: int, none: bool, operations: Sequence[str] | None, output: str) -> tuple[str, ...]:
    """Return the candidates of a recurrent space after checking what was set.

    Args:
        nodes: computed nodes.
        none: whether ``none`` is a candidate.
        operations: what was set, or None for DARTS' own.
        output: how the nodes become the output.

    Raises:
        InputError: any of it is not right.
    """
    if nodes < 1:
        raise InputError(f"space.nodes is {nodes}; a cell needs at least 1 node.")
    if output not in OUTPUTS:
        raise unknown("output", output, OUTPUTS, "space.output")
    names = tuple(operations) if operations else RECURRENT_OPERATIONS
    for name in names:
        if name != "none" and name not in ACTIVATIONS:
            raise unknown("activation", name, ("none", *ACTIVATIONS), "space.operations")
    names = tuple(dict.fromkeys(name for name in names if none or name != "none"))
    if set(names) <= {"none"}:
        raise InputError("space.operations needs at least one activation besides 'none'.")
    return names
