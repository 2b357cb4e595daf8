"""What baselines of recurrent tasks share: how they report, and how they get as many parameters as what they meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["MeasuredBaseline", "units_for"]


@dataclass(frozen=True, kw_only=True)
class MeasuredBaseline:
    """How well a baseline did.

    Attributes:
        name: what it is, in words.
        metrics: of the test part, as the task's ``evaluate`` names them.
        parameters: numbers that training sets.
        seconds: wall-clock time of its training.
    """

    name: str
    metrics: dict[str, float]
    parameters: int
    seconds: float


def units_for(parameters: int, size: Callable[[int], int]) -> int:
    """Return the number of hidden units, at least 1, whose network is nearest in size.

    Args:
        parameters: of the network that it is compared with.
        size: hidden units -> parameters, rising.
    """
    hidden = 1
    while size(hidden + 1) <= parameters:
        hidden += 1
    return min((hidden, hidden + 1), key=lambda units: abs(size(units) - parameters))
