"""The derivation of EnTranNAS-DST: what has a weight above zero is the architecture."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.choices import Mixing, Support
from archgrad.engine.derivations.derive import Derivation
from archgrad.space.cells import CellSpace

__all__ = ["NonZero"]


@dataclass(frozen=True)
class NonZero(Derivation):
    """Keep every candidate whose weight is above zero: any number of inputs a node, several operations an edge.

    No rule of thumb is left: the derived network is the graph that the mixing runs. ``none`` is no connection; a node
    for which nothing else is above zero is left without an input.
    """

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return the support of the weights above zero without ``none``."""
        above = (mixing.weights.detach() > 0).tolist()
        return tuple(
            tuple(
                kept and runs and name != "none" for kept, runs, name in zip(row, running, cell.operations, strict=True)
            )
            for row, running in zip(above, mixing.support, strict=True)
        )
