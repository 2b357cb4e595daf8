"""Beta decay, the regulariser of beta-DARTS: what weighs most on an edge is held down, ever more strongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.errors import InputError

__all__ = ["BetaDecay", "beta_decay"]


def beta_decay(logits: Tensor, alive: Tensor) -> Tensor:
    """Return log sum_k exp(alpha_k) of every edge over its living candidates (beta-DARTS' decay loss).

    Its gradient is softmax(alpha): what weighs most is pulled down most, by an amount that is bounded and sums to 1.

    Args:
        logits: alpha, [rows, candidates].
        alive: bool [rows, candidates].

    Returns:
        [rows]; 0 for a row without living candidates.
    """
    some = alive.any(dim=1, keepdim=True)
    living = logits.masked_fill(~alive, -torch.inf)
    return torch.where(some, living, torch.zeros_like(living)).logsumexp(dim=1) * some.squeeze(1)


@dataclass(frozen=True)
class BetaDecay(Penalty):
    """Adds lambda (t / T) times the mean over all edges of log sum_k exp(alpha_k) to the choices' loss.

    That it is the mean over the edges, and not their sum, is a reconstruction.

    Args:
        strength: lambda at the end, reached linearly from 0 (beta-DARTS: 50).

    Raises:
        InputError: the strength is negative.
    """

    strength: float = 50.0

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"The strength of beta-decay is {self.strength:g}; it must be at least 0.")

    @property
    def on(self) -> Literal["choices", "both"]:
        """The choices' loss alone."""
        return "choices"

    def __call__(self, view: View) -> Tensor:
        """Return the term, a scalar."""
        edges = [beta_decay(table.logits, table.alive) for _, table in view.choices.items()]
        return self.strength * view.progress.elapsed * torch.cat(edges).mean()
