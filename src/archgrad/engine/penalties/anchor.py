"""The regulariser of DrNAS: concentrations stay near the anchor 1, so that the draws neither freeze nor scatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from archgrad.choices import ChoiceTable
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.errors import InputError

__all__ = ["Anchor", "HasConcentration", "anchor_distance"]


@runtime_checkable
class HasConcentration(Protocol):
    """A relaxation whose weights are Dirichlet distributed."""

    def concentration(self, table: ChoiceTable) -> Tensor:
        """Return beta of the table, [rows, candidates]."""
        ...


def anchor_distance(beta: Tensor, alive: Tensor) -> Tensor:
    """Return 1/2 sum_k (beta_k - 1)^2 over the living candidates of all edges (DrNAS, with d the squared L2 distance).

    Args:
        beta: [rows, candidates].
        alive: bool [rows, candidates].
    """
    return 0.5 * ((beta - 1.0) ** 2).masked_fill(~alive, 0.0).sum()


@dataclass(frozen=True)
class Anchor(Penalty):
    """Draws the concentrations of a Dirichlet relaxation to 1, in the choices' loss alone.

    The paper's d is a distance to the anchor 1, L2 or KL; this is the L2 one. Its public code has it as weight decay of
    alpha, which is the same to first order around the anchor and is ``choices.decay`` here.

    Args:
        strength: lambda (public code: 1e-3).

    Raises:
        InputError: the strength is negative.
    """

    strength: float = 1e-3

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"The strength of an anchor is {self.strength:g}; it must be at least 0.")

    @property
    def on(self) -> Literal["choices", "both"]:
        """The choices' loss alone."""
        return "choices"

    def __call__(self, view: View) -> Tensor:
        """Return the term, a scalar; 0 where the relaxation has no concentrations."""
        if not isinstance(view.relaxation, HasConcentration):
            return next(iter(view.choices.parameters())).new_zeros(())
        terms = [anchor_distance(view.relaxation.concentration(t), t.alive) for _, t in view.choices.items()]
        return self.strength * torch.stack(terms).sum()
