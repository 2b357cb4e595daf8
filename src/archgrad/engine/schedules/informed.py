"""The dynamic schedule of DARTS-PRIME: the choices learn when the weights have settled, told by Fisher information."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from archgrad.engine.schedules.schedule import Schedule, Steps
from archgrad.errors import InputError

__all__ = ["MULTIPLIER", "Informed", "moving_average", "next_threshold"]

MULTIPLIER = 1.05
"""m: factor by which the threshold rises when a choice step is skipped (published code)."""


def moving_average(average: float, value: float, smoothing: float) -> float:
    """Return e * F_t + (1 - e) * average (arXiv 2106.11655, published code).

    Args:
        average: so far; 0 at the start, so the first values count as lower than they are.
        value: F_t, the squared norm of the weights' gradient on one mini-batch.
        smoothing: e.
    """
    return smoothing * value + (1.0 - smoothing) * average


def next_threshold(threshold: float, taken: bool, ratio: float) -> float:
    """Return T * m^(-s) after a choice step, T * m after none, with m = 1.05 and s the ratio.

    Whatever the gradients do, skipped - s * taken = ln(T_end / T_start) / ln m: a threshold that neither vanishes nor
    explodes means s skipped steps for one taken.
    """
    return threshold * (MULTIPLIER**-ratio if taken else MULTIPLIER)


@dataclass
class Informed(Schedule):
    """A choice step only when the average squared gradient of the weights lies under a moving threshold.

    The squared norm of a mini-batch's gradient is the trace of the empirical Fisher information: small values say that
    the weights have settled under the present choices. Per update: the weights' gradients, the test, perhaps a choice
    step, and in every case the weight step with the gradients computed before it (the published order).

    Args:
        ratio: s, how many choice steps are skipped for one taken in the long run (DARTS-PRIME: 10).
        smoothing: e, share of the newest value in the average (published for images: 0.2; 1: no average).
        start: the first threshold (published: 1).
        choice_share: share of the training data for the choices; negative: 1 / (1 + ratio), so both sets last one
            epoch.

    Raises:
        InputError: an option is out of its range.
    """

    ratio: float = 10.0
    smoothing: float = 0.2
    start: float = 1.0
    choice_share: float = -1.0
    threshold: float = field(init=False)
    average: float = field(init=False, default=0.0)
    taken: int = field(init=False, default=0)
    skipped: int = field(init=False, default=0)
    newest: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if self.ratio <= 0:
            raise InputError(f"schedule.ratio is {self.ratio:g}; it must be above 0: steps skipped for one taken.")
        if not 0 < self.smoothing <= 1:
            raise InputError(f"schedule.smoothing is {self.smoothing:g}; it must be above 0 and at most 1.")
        if self.start <= 0:
            raise InputError(f"schedule.start is {self.start:g}; the first threshold must be above 0.")
        if self.choice_share < 0:
            self.choice_share = 1.0 / (1.0 + self.ratio)
        self.threshold = self.start

    def __call__(self, steps: Steps) -> None:
        """Do a weight step, and before it a choice step where the weights have settled."""
        steps.weight_gradients()
        if self.due(steps.gradient_square()):
            steps.choice_step()
        steps.weight_step()

    def due(self, gradient_square: float) -> bool:
        """Take up the newest F_t and say whether a choice step is due: 0 < average < T."""
        self.newest = gradient_square
        self.average = moving_average(self.average, gradient_square, self.smoothing)
        due = 0.0 < self.average < self.threshold
        self.threshold = next_threshold(self.threshold, due, self.ratio)
        self.taken, self.skipped = self.taken + due, self.skipped + (not due)
        return due

    def report(self) -> dict[str, float]:
        """Return F_t of the last update, its average, the threshold that comes next, steps taken and skipped so far."""
        return {
            "gradient_square": self.newest,
            "average": self.average,
            "threshold": self.threshold,
            "taken": self.taken,
            "skipped": self.skipped,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that :meth:`report` does: it decides how the schedule goes on."""
        return self.report()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        self.newest, self.average, self.threshold = state["gradient_square"], state["average"], state["threshold"]
        self.taken, self.skipped = state["taken"], state["skipped"]
