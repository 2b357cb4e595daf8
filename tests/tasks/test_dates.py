"""Dates go on in their own rhythm and their own writing."""

from __future__ import annotations

import pandas as pd
import pytest

from archgrad.tasks.dates import continued


@pytest.mark.parametrize(
    ("dates", "following"),
    [
        (["2009Q2", "2009Q3"], ["2009Q4", "2010Q1", "2010Q2"]),
        (["1999-Q4"], ["2000-Q1", "2000-Q2", "2000-Q3"]),
        (["2016-07-01 22:00:00", "2016-07-01 23:00:00"], [f"2016-07-02 0{hour}:00:00" for hour in range(3)]),
        (["2024-01-31", "2024-02-29", "2024-03-31"], ["2024-04-30", "2024-05-31", "2024-06-30"]),
        (["2024-01-01", "2024-02-01", "2024-03-01"], ["2024-04-01", "2024-05-01", "2024-06-01"]),
        (["1990/1/1 0:00", "1990/1/2 0:00"], ["1990/01/03 00:00", "1990/01/04 00:00", "1990/01/05 00:00"]),
        (["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-13"], ["2024-03-14", "2024-03-15", "2024-03-16"]),
        (["2024-03-07"], ["2024-03-08", "2024-03-09", "2024-03-10"]),
    ],
)
def test_they_go_on(dates: list[str], following: list[str]) -> None:
    assert continued(dates, 3) == following


@pytest.mark.parametrize("rhythm", ["h", "15min", "D", "B", "W", "MS", "ME", "QE", "YS"])
def test_what_pandas_counts_is_counted_on(rhythm: str) -> None:
    whole = [str(moment) for moment in pd.date_range("2021-03-01", periods=30, freq=rhythm)]
    assert continued(whole[:20], 10) == whole[20:]
