"""What is added to a loss, and all that it may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from archgrad.choices import Choices, Mixing, Progress, Relaxation, Support
from archgrad.engine.derivations.derive import Derivation
from archgrad.space.cells import Space
from archgrad.space.skeleton import Layer

__all__ = ["Penalty", "View"]


@dataclass(frozen=True)
class View:
    """What a penalty sees of one update.

    Args:
        space: the cells' graphs and candidates.
        layers: the layers of the supernet.
        input_shape: of one example, (channels, height, width) for images: with the layers it gives every map's size.
        stem: name of what stands before the first cell; it decides what is left of an image's sides.
        choices: the tables.
        relaxation: what turned them into mixings.
        mixings: one mapping per layer, what the supernet is given.
        expected: the deterministic mixing of every cell kind.
        derivation: the rule from an expected mixing to a support.
        projections: what the rule keeps now, by cell kind.
        noise: the draws of this update, one mapping per draw.
        progress: both clocks.
    """

    space: Space
    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    stem: str
    choices: Choices
    relaxation: Relaxation
    mixings: Sequence[Mapping[str, Mixing]]
    expected: Mapping[str, Mixing]
    derivation: Derivation
    projections: Mapping[str, Support]
    noise: Sequence[Mapping[str, Tensor | None]]
    progress: Progress


class Penalty(Protocol):
    """An extra term of the loss, differentiable in the choices."""

    @property
    def on(self) -> Literal["choices", "both"]:
        """Whether it acts on the choices' loss alone or on the weights' loss too; in joint updates all of them act."""
        ...

    def __call__(self, view: View) -> Tensor:
        """Return the term, a scalar."""
        ...

    def after_choice_step(self, view: View) -> None:
        """Update the penalty's own variables after the choices have moved."""
        return None

    def report(self) -> dict[str, float]:
        """Return what is worth logging beside the term's value."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's own state: tensors and plain data (empty where there is none)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        return None
