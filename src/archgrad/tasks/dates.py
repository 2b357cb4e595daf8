"""Dates of series: read, and continued as the ones before them went on, written in the same way."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.tseries.api import guess_datetime_format

__all__ = ["continued", "following", "parsed"]

QUARTER = re.compile(r"(\d{4})(-?Q)([1-4])")

SEEN = 200
"""How many of the last dates tell the rhythm; older ones may have had another."""


def parsed(dates: Sequence[str]) -> pd.Series[Any]:
    """Return dates as pandas has them; what is none is NaT. A quarter is the day that it begins with.

    Args:
        dates: as they were written.
    """
    plain = [_first_day(QUARTER.fullmatch(date.strip())) or date for date in dates]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pandas says when it has to guess cell by cell
        return pd.Series(pd.to_datetime(pd.Series(plain), errors="coerce"))


def _first_day(quarter: re.Match[str] | None) -> str | None:
    return f"{quarter[1]}-{3 * int(quarter[3]) - 2:02}-01" if quarter else None


def continued(dates: Sequence[str], steps: int) -> list[str]:
    """Return the dates that follow.

    The rhythm is the one that pandas finds (hours, business days, ends of months, ...), else the most frequent
    distance; quarters such as 2009Q3 are counted on.

    Args:
        dates: ascending, as they were written; at least one.
        steps: how many are wanted.
    """
    quarter = QUARTER.fullmatch(dates[-1].strip())
    if quarter:
        count = 4 * int(quarter[1]) + int(quarter[3]) - 1
        quarters = [divmod(count + step, 4) for step in range(1, steps + 1)]
        return [f"{year:04}{quarter[2]}{number + 1}" for year, number in quarters]
    ahead = following(pd.DatetimeIndex(parsed(dates[-SEEN:])), steps)
    form = guess_datetime_format(dates[-1].strip())
    return [moment.strftime(form) if form else moment.isoformat() for moment in ahead]


def following(moments: pd.DatetimeIndex, steps: int) -> pd.DatetimeIndex:
    """Return the moments that follow, in the rhythm that :func:`continued` describes or that the index itself has.

    Args:
        moments: ascending, at least one.
        steps: how many are wanted.
    """
    last = moments[-SEEN:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a later pandas gives no text; both serve here
        rhythm = moments.freq or (pd.infer_freq(last) if len(last) > 2 else None)
    if rhythm is not None:
        return pd.date_range(last[-1], periods=steps + 1, freq=rhythm)[1:]
    distances = pd.Series(last[1:] - last[:-1])
    distance = distances.mode().iloc[0] if len(distances) else pd.Timedelta(days=1)
    return pd.DatetimeIndex([last[-1] + distance * step for step in range(1, steps + 1)])
