"""What is added to a loss, and all that it may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from archgrad.choices import Choices, Mixing, Progress, Support
from archgrad.space.cells import Space
from archgrad.space.skeleton import Layer

__all__ = ["Penalty", "View"]


@dataclass(frozen=True)
class View:
    """What a penalty sees of one update.

    Args:
        space: the cells' graphs and candidates.
        layers: the layers of the supernet.
        choices: the tables.
        mixings: one mapping per layer, what the supernet is given.
        expected: the deterministic mixing of every cell kind.
        projections: the currently derived support of every cell kind.
        noise: the draws of this update, one mapping per draw.
        progress: both clocks.
    """

    space: Space
    layers: tuple[Layer, ...]
    choices: Choices
    mixings: Sequence[Mapping[str, Mixing]]
    expected: Mapping[str, Mixing]
    projections: Mapping[str, Support]
    noise: Sequence[Mapping[str, Tensor | None]]
    progress: Progress


class Penalty(Protocol):
    """An extra term of the loss, differentiable in the choices."""

    @property
    def on(self) -> Literal["choices", "both"]:
        """Whether it acts on the choices' loss alone or on the weights' loss too (joint updates)."""
        ...

    def __call__(self, view: View) -> Tensor:
        """Return the term, a scalar."""
        ...

    def after_choice_step(self, view: View) -> None:
        """Update the penalty's own variables after the choices have moved."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's own state: tensors and plain data (empty where there is none)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        return None
