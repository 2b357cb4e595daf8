"""Which mixing each layer gets: a function of the layer index, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["AllEngines", "Layout", "Seat"]


@dataclass(frozen=True)
class Seat:
    """What one layer is given.

    Args:
        engine: True: the relaxed mixing; False: the currently derived support with weights 1 (a Transit-cell).
        draw: which of the update's draws it uses; layers with the same number share one.
    """

    engine: bool = True
    draw: int = 0


class Layout(Protocol):
    """Assigns a seat to every layer."""

    def __call__(self, kinds: Sequence[str]) -> tuple[Seat, ...]:
        """Return one seat per layer.

        Args:
            kinds: the cell kind of each layer, in order.
        """
        ...


@dataclass(frozen=True)
class AllEngines:
    """Every layer gets the relaxed mixing, all of one kind the same (DARTS)."""

    def __call__(self, kinds: Sequence[str]) -> tuple[Seat, ...]:
        """Return an engine's seat for every layer."""
        return (Seat(),) * len(kinds)
