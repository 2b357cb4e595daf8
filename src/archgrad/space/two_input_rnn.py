"""The recurrent space whose nodes join two operands by a sum or a Hadamard product (after arXiv 2106.07211).

The paper names the Hadamard product and a two-input cell in its abstract; the formulas here are a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.errors import InputError, unknown
from archgrad.network.recurrent import ACTIVATIONS
from archgrad.space.cells import CellSpace, CombinerSpace, Space
from archgrad.space.darts_rnn import checked_activations
from archgrad.space.skeleton import TimeSteps

__all__ = ["COMBINERS", "OPERANDS", "TwoInputRnnSpace"]

OPERANDS = ("a", "b")
"""The two operands of a node, as the edges of architecture.json name them."""

COMBINERS = ("add", "multiply")
"""How a node joins its operands; "multiply" is the Hadamard product."""


@dataclass(frozen=True)
class TwoInputRnnSpace:
    """Recurrent cell of two operands a node, joined by sum or Hadamard product; gates of LSTM and GRU are in it.

    Nodes 0 and 1 are x_t and h_{t-1}, each through a matrix of its own; every later node reads all earlier ones, with
    one candidate activation per earlier node and operand.

    Args:
        nodes: computed nodes (a whole GRU takes 7).
        none: whether "no connection" is a candidate.
        operations: names of the activations instead of tanh, relu, sigmoid and identity.
        output: "mean" of the nodes, "learned" for a trained convex combination, or the "last" node.
        combiners: how a node may join its operands; ("add",) alone leaves out the Hadamard product, which a growth step
            can add.
    """

    nodes: int = 8
    none: bool = True
    operations: tuple[str, ...] | None = None
    output: str = "mean"
    combiners: tuple[str, ...] = COMBINERS

    @staticmethod
    def known_operations() -> tuple[str, ...]:
        """Return every operation that an architecture of this space may name."""
        return ("none", *ACTIVATIONS)

    @staticmethod
    def skeleton() -> TimeSteps:
        """Return how networks of this space are made: one cell over time."""
        return TimeSteps()

    def __call__(self) -> Space:
        """Build the space: the cell, and the table of its combiners as the kind "combine".

        Raises:
            InputError: no node, no candidate but ``none``, or an unknown activation, output or combiner.
        """
        for name in self.combiners:
            if name not in COMBINERS:
                raise unknown("combiner", name, COMBINERS, "space.combiners")
        if not self.combiners:
            raise InputError(f"space.combiners is empty; a node needs one of {', '.join(COMBINERS)}.")
        names = checked_activations(self.nodes, self.none, self.operations, self.output)
        cell = CellSpace(2, self.nodes, names, self.output, operands=OPERANDS, combiner="combine", must_read=(0, 1))
        combiner = CombinerSpace(2, self.nodes, tuple(dict.fromkeys(self.combiners)), self.output)
        return Space("two-input-rnn", {"recurrent": cell, "combine": combiner}, self.skeleton())
