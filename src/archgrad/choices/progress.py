"""The two clocks of the papers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a search has come.

    Args:
        elapsed: steps done / total steps, in [0, 1]: the clock of penalties (papers' t / T_max).
        epoch: (e + 1) / epochs with e counted from 0, in (0, 1]: the clock of temperatures.
    """

    elapsed: float = 0.0
    epoch: float = 0.0
