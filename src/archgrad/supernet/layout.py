"""Which mixing each layer gets: a function of the layer index, nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from archgrad.errors import InputError

__all__ = ["AllEngines", "EnginesAt", "Layout", "SamplePerLayer", "Seat"]


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


@dataclass(frozen=True)
class EnginesAt:
    """Engine-cells at a few layers, Transit-cells everywhere else (EnTranNAS, arXiv 2101.11342).

    Choices get their gradient through engines alone. The paper takes one searched cell to be enough; that this is the
    first cell of every kind is a reconstruction.

    Args:
        layers: indices of the layers with an Engine-cell; None: the first layer of every cell kind.
        last: in place of layers, the share of the layers at the end that are engines, at least one: in a recurrent
            supernet the last stretch of the window, next to the loss (a reconstruction).

    Raises:
        InputError: no index, a negative one, a share that is none, or both.
    """

    layers: tuple[int, ...] | None = None
    last: float | None = None

    def __post_init__(self) -> None:
        if self.last is not None and not 0 < self.last <= 1:
            raise InputError(f"layout.last is {self.last:g}; it must be above 0 and at most 1: a share of the layers.")
        if self.last is not None and self.layers is not None:
            raise InputError("layout.layers and layout.last both say where the engines are; give one of them.")
        if self.layers is not None and (not self.layers or min(self.layers) < 0):
            raise InputError(f"layout.layers is {list(self.layers)}; give one index or more, counted from 0.")

    def __call__(self, kinds: Sequence[str]) -> tuple[Seat, ...]:
        """Return an engine's seat for the chosen layers and a Transit-cell's for the others.

        Raises:
            InputError: there is no such layer, or a cell kind has no engine, so its choices would never learn.
        """
        if self.last is not None:
            engines = set(range(len(kinds) - math.ceil(self.last * len(kinds)), len(kinds)))
        else:
            engines = {kinds.index(kind) for kind in kinds} if self.layers is None else set(self.layers)
        if engines and max(engines) >= len(kinds):
            raise InputError(
                f"layout.layers names layer {max(engines)}, and the supernet has the layers 0 to {len(kinds) - 1}."
            )
        for kind in dict.fromkeys(kinds):
            if not any(kinds[layer] == kind for layer in engines):
                at = ", ".join(str(layer) for layer, other in enumerate(kinds) if other == kind)
                raise InputError(
                    f"layout.layers has no layer of the cell kind '{kind}', whose choices would never learn; "
                    f"add one of these: {at}."
                )
        return tuple(Seat(engine=layer in engines) for layer in range(len(kinds)))


@dataclass(frozen=True)
class SamplePerLayer:
    """Every layer is an engine with a draw of its own; AllEngines shares one among the layers of a kind (SNAS)."""

    def __call__(self, kinds: Sequence[str]) -> tuple[Seat, ...]:
        """Return an engine's seat with its own draw for every layer."""
        return tuple(Seat(draw=layer) for layer in range(len(kinds)))
