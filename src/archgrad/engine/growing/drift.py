"""Has the stream changed? The test of Page and Hinkley on the errors of a forecaster that learns as it goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["PageHinkley", "page_hinkley"]


@dataclass(frozen=True)
class PageHinkley:
    """What the test remembers: nothing that grows with the stream.

    Args:
        count: values seen.
        mean: of them.
        total: m_T, how far they were above the mean.
        least: the smallest m_t so far.
    """

    count: int = 0
    mean: float = 0.0
    total: float = 0.0
    least: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def page_hinkley(before: PageHinkley, value: float, tolerance: float, threshold: float) -> tuple[PageHinkley, bool]:
    """Take one more value: m_T = sum_t (x_t - mean_t - delta); a drift is m_T - min_t m_t > lambda (Page, 1954).

    Both numbers are in units of the mean, so that they mean the same for every series.

    Args:
        before: what was seen so far.
        value: x_T, none negative.
        tolerance: delta, as a share of the mean: smaller rises are none.
        threshold: lambda, in means.

    Returns:
        What was seen now, and whether it is a drift.
    """
    count = before.count + 1
    mean = before.mean + (value - before.mean) / count
    total = before.total + value - mean * (1.0 + tolerance)
    after = PageHinkley(count, mean, total, min(before.least, total))
    return after, after.total - after.least > threshold * mean
