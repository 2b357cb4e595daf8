"""The choices learn by policy gradient with shared weights, after ENAS (arXiv 1802.03268): no gradient through mixings.

Pham, Guan, Zoph, Le, Dean: Efficient Neural Architecture Search via Parameter Sharing. ICML 2018. Its controller is a
recurrent network that draws one decision after another; here the policy is the table itself, every edge for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from archgrad.engine.schedules.schedule import Schedule, Steps
from archgrad.errors import InputError

__all__ = ["Reinforce", "moved_baseline"]


def moved_baseline(before: float | None, cost: float, decay: float) -> float:
    """Return b <- mu b + (1 - mu) L, the moving average of the costs; the first cost where there is none yet."""
    return cost if before is None else decay * before + (1.0 - decay) * cost


@dataclass
class Reinforce(Schedule):
    """A policy step before every weight step: (L_val - b) d log p(Z) of the sample that the validation loss is of.

    Args:
        choice_share: share of the training data that serves the choices (as in DARTS).
        decay: mu of the baseline's moving average (a reconstruction).

    Attributes:
        baseline: b; None before the first step.

    Raises:
        InputError: the decay is not in [0, 1).
    """

    choice_share: float = 0.5
    decay: float = 0.95
    baseline: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise InputError(f"schedule.decay is {self.decay:g}; it must be at least 0 and below 1.")

    def __call__(self, steps: Steps) -> None:
        """Do a policy step, then a weight step."""
        cost = steps.policy_step(self.baseline)
        self.baseline = moved_baseline(self.baseline, cost, self.decay)
        steps.weight_gradients()
        steps.weight_step()

    def report(self) -> dict[str, float]:
        """Return the baseline."""
        return {} if self.baseline is None else {"baseline": self.baseline}

    def state_dict(self) -> dict[str, Any]:
        """Return the baseline as plain data."""
        return {"baseline": self.baseline}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        self.baseline = state["baseline"]
