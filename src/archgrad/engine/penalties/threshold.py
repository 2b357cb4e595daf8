"""The pressure on EnTranNAS-DST's thresholds: higher ones cut more connections off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.choices.sparse import BETA
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.errors import InputError

__all__ = ["ThresholdPressure", "threshold_pressure"]


def threshold_pressure(beta: Tensor) -> Tensor:
    """Return -mean_j log sigmoid(beta_j), which falls as the thresholds t_j = sigmoid(beta_j) rise to 1.

    Args:
        beta: [groups], of all tables together.
    """
    return -functional.logsigmoid(beta).mean()


@dataclass(frozen=True)
class ThresholdPressure(Penalty):
    """Push the thresholds of a sparse relaxation up: strength * -mean_j log sigmoid(beta_j) (a reconstruction).

    Args:
        strength: lambda; the larger, the fewer connections stay.

    Raises:
        InputError: the strength is negative.
    """

    strength: float = 0.1

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"The strength of a threshold-pressure is {self.strength}; it must be at least 0.")

    @property
    def on(self) -> Literal["choices", "both"]:
        """It acts on the choices alone: the weights do not depend on it."""
        return "choices"

    def __call__(self, view: View) -> Tensor:
        """Return the term; 0 where no table has thresholds."""
        found = [table.extras[BETA] for _, table in view.choices.items() if BETA in table.extras]
        if not found:
            return next(iter(view.choices.parameters())).new_zeros(())
        return self.strength * threshold_pressure(torch.cat(found))
