"""Frames, arrays, tensors and lists become the series that the same table in a CSV file becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from archgrad.errors import InputError
from archgrad.tasks.series_csv import load_csv
from archgrad.tasks.series_table import is_series, load_table, onwards

DAYS = pd.date_range("2024-01-30", periods=6, freq="D")
VALUES = np.arange(12.0).reshape(6, 2) / 10


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"load": VALUES[:, 0], "oil": VALUES[:, 1], **columns}, index=DAYS)


@pytest.mark.parametrize(
    "given",
    [
        frame(),
        frame().rename_axis("when"),
        frame().reset_index(),
        frame().reset_index(drop=True).assign(when=DAYS.astype(str)),
        frame().set_index(DAYS.astype(str)),
        frame().set_index(DAYS.to_period()),
        frame().set_index(DAYS.tz_localize("UTC")),
        frame(load=pd.array(VALUES[:, 0], dtype="Float64")),
        frame().astype(str),
    ],
    ids=["index", "named", "column", "text", "text index", "periods", "zone", "nullable", "all text"],
)
def test_a_frame_is_what_its_file_is(given: pd.DataFrame, tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "series.csv", index_label="when")
    from_file, series = load_csv(str(tmp_path / "series.csv")), load_table(given, targets=("oil",))
    assert torch.equal(series.values, from_file.values) and series.names == from_file.names
    assert series.dates == from_file.dates and series.fingerprint == from_file.fingerprint
    assert (series.window, series.horizon, series.season, series.shares) == (96, 24, 24, from_file.shares)
    assert series.targets == (1,)


@pytest.mark.parametrize("given", [VALUES, torch.tensor(VALUES), VALUES.tolist(), list(VALUES), VALUES.astype(str)])
def test_rows_of_numbers_are_numbered_series_without_dates(given: Any) -> None:
    series = load_table(given)
    assert is_series(given) and series.values.tolist() == VALUES.tolist()
    assert (series.names, series.dates) == (("0", "1"), None)


def test_a_single_series_needs_no_second_dimension() -> None:
    for given, name in ((VALUES[:, 1], "0"), (frame()["oil"], "oil"), (VALUES[:, 1].tolist(), "0")):
        assert is_series(given)
        series = load_table(given)
        assert series.names == (name,) and series.values.tolist() == VALUES[:, 1:].tolist()


def test_images_stay_images() -> None:
    images, labels = np.zeros((5, 1, 8, 8)), [0, 1, 0, 1, 0]
    for given in (
        (images, labels),
        [images, labels],
        {"train": (images, labels)},
        images,
        images[:, 0],
        object(),
        [],
        "a",
    ):
        assert not is_series(given)
    assert not is_series((VALUES, labels))


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (
            frame(oil=[1, 2, np.nan, 4, np.inf, "x"]),
            {},
            "row 2, column 'oil': the cell is empty\n.*row 4, .*'inf'.*\n.*'x'",
        ),
        (frame().iloc[::-1], {}, "row 1, column 'index': 2024-02-03 does not come after 2024-02-04"),
        (frame().reset_index(names="day"), {"date": "dey"}, "Unknown column 'dey'.*Did you mean 'day'"),
        (frame(), {"targets": ("gas",)}, "Unknown series 'gas'"),
        (pd.concat([frame(), frame()], axis=1), {}, "two columns of one name: load, oil, load, oil"),
        (frame().set_index([DAYS, DAYS]), {}, "several levels of names"),
        (frame().iloc[:0], {}, "The frame has no rows"),
        (frame()[[]], {}, "The frame holds no column of numbers"),
        ([[1.0, 2.0], [3.0], [4.0]], {}, "The list cannot be read as rows of equal length"),
        ({"train": VALUES, "tset": VALUES}, {}, "the keys train and test; got: train, tset"),
        ({"train": frame(), "test": frame()[["oil"]]}, {}, "the columns index, load, oil, the test table index, oil"),
        ({"train": VALUES, "test": VALUES}, {"shares": (0.5, 0.2, 0.3)}, 'data.shares divides one table; here "test"'),
    ],
)
def test_what_cannot_be_read_is_said(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_table(given, **options)


def test_a_table_of_its_own_is_tested_on() -> None:
    series = load_table({"train": frame(), "test": frame().shift(6, freq="D")}, horizon=2)
    assert len(series.values) == 12 and series.shares == (4, 2, 6)
    assert series.dates is not None and series.dates[6] == "2024-02-05"
    with pytest.raises(InputError, match="row 6, column 'index': 2024-01-30 does not come after 2024-02-04"):
        load_table({"train": frame(), "test": frame()})


def test_forecasts_go_on_where_the_frame_ends() -> None:
    ahead = [[1.0], [2.0]]

    def follow(given: pd.DataFrame, date: str | None = None) -> pd.DataFrame:
        return onwards(given, date, ["oil"], ahead)

    zone = DAYS.tz_localize("Europe/Berlin").rename("when")
    for index in (DAYS, zone, DAYS.to_period(), pd.date_range("2024", periods=6, freq="h"), pd.RangeIndex(0, 60, 10)):
        longer = follow(frame().set_index(index))
        assert longer.index.equals(index.shift(2)[-2:] if not isinstance(index, pd.RangeIndex) else pd.Index([60, 70]))
        assert longer.index.dtype == index.dtype and longer.index.name == index.name
        assert longer.columns.tolist() == ["oil"] and longer["oil"].tolist() == [1.0, 2.0]
    assert follow(frame().set_index(pd.Index(list("abcdef")))).index.tolist() == [1, 2]
    assert follow(frame().set_index(DAYS.astype(str))).index.tolist() == ["2024-02-05", "2024-02-06"]
    column = follow(frame().reset_index(names="day"), "day")
    assert column.columns.tolist() == ["day", "oil"] and column.index.tolist() == [6, 7]
    assert column["day"].tolist() == [pd.Timestamp("2024-02-05"), pd.Timestamp("2024-02-06")]
