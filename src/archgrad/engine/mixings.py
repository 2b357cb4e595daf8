"""From choices to what every layer gets: noise once per update, mixings once per forward, laid out over the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from archgrad.choices import Choices, Mixing, Progress, Relaxation, Support, transit
from archgrad.choices.ramp import mixing_of
from archgrad.supernet.layout import Seat

__all__ = ["Noise", "draw_noise", "layer_mixings", "transit_mixings"]

Noise = Sequence[Mapping[str, Tensor | None]]
"""One mapping from cell kind to noise for every draw of an update."""


def draw_noise(
    choices: Choices, relaxation: Relaxation, seats: Sequence[Seat], generator: torch.Generator
) -> list[dict[str, Tensor | None]]:
    """Draw everything that is random about the mixings of one update.

    Args:
        choices: the tables.
        relaxation: knows what is random.
        seats: the layers' seats; as many draws as their numbers ask for.
        generator: the search's generator, part of its checkpoint.
    """
    draws = 1 + max((seat.draw for seat in seats if seat.engine), default=0)
    return [{kind: relaxation.noise(table, generator) for kind, table in choices.items()} for _ in range(draws)]


def transit_mixings(expected: Mapping[str, Mixing], supports: Mapping[str, Support]) -> dict[str, Mixing]:
    """Return the derived supports with weights 1, for Transit-cells and for derived children."""
    return {kind: transit(support, expected[kind].weights) for kind, support in supports.items()}


def layer_mixings(
    choices: Choices,
    relaxation: Relaxation,
    progress: Progress,
    noise: Noise,
    seats: Sequence[Seat],
    derived: Mapping[str, Mixing] | None = None,
) -> list[Mapping[str, Mixing]]:
    """Return one mapping of mixings per layer, differentiable in the choices.

    Args:
        choices: the tables.
        relaxation: table -> mixing.
        progress: both clocks.
        noise: the update's draws; every forward of one update gets the same.
        seats: one per layer.
        derived: mixings of Transit-cells; needed when a seat is no engine's.
    """
    draws = [
        {kind: mixing_of(relaxation, table, progress, draw[kind]) for kind, table in choices.items()} for draw in noise
    ]  # computed once per table and draw, not once per layer
    return [draws[seat.draw] if seat.engine or derived is None else derived for seat in seats]
