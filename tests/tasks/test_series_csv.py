"""CSV files become series, and what is wrong with them is said with line and column."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch

from archgrad.errors import InputError
from archgrad.tasks.series import RawSeries, borders, chosen_targets
from archgrad.tasks.series_csv import load_csv
from archgrad.tasks.series_macro import load_macro


def written(folder: Path, text: str, name: str = "series.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_date_column_is_found_wherever_it_is(tmp_path: Path) -> None:
    series = load_csv(written(tmp_path, "load,when,oil\n1,2016-07-01 00:00,2.5\n3,2016-07-01 01:00,-4e1\n"))
    assert series.names == ("load", "oil")
    assert series.dates == ("2016-07-01 00:00", "2016-07-01 01:00")
    assert series.values.tolist() == [[1.0, 2.5], [3.0, -40.0]]


def test_a_file_without_names_and_dates_compressed(tmp_path: Path) -> None:
    path = tmp_path / "rates.txt.gz"
    path.write_bytes(gzip.compress(b"0.5,0.25\n0.75,1\n"))
    series = load_csv(str(path), targets=("1",))
    assert (series.names, series.dates, series.targets) == (("0", "1"), None, (1,))
    assert series.values.dtype == torch.float64


def test_gaps_and_words_are_reported_with_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "date,a,b\n2020-01-01,1,2\n2020-01-02,,3\n2020-01-03,x,nan\n")
    with pytest.raises(InputError) as error:
        load_csv(path)
    for words in ("line 3, column 'a': the cell is empty", "line 4, column 'a': the cell is 'x'", "column 'b'"):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "date,a\n2020-01-02,1\n2020-01-01,2\n",
            {},
            "line 3, column 'date': 2020-01-01 does not come after 2020-01-02",
        ),
        ("date,a\n2020-01-02,1\nsoon,2\n", {"date": "date"}, "line 3, column 'date': 'soon' is no date"),
        ("date,a\n2020-01-02,1\n", {"date": "dat"}, "Unknown column 'dat'.*Did you mean 'date'"),
        ("date,a\n2020-01-02,1\n", {"targets": ("b",)}, "Unknown series 'b'"),
        ("a,a\n1,2\n", {}, "two columns of one name"),
        ("a,b\n", {}, "holds a line of names and no rows"),
        ("", {}, "no table"),
        ("date\n2020-01-02\n", {}, "holds no column of numbers"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_csv(written(tmp_path, text), **options)


def test_no_path_was_given() -> None:
    with pytest.raises(InputError, match="csv:PATH"):
        load_csv(None)
    with pytest.raises(InputError, match="takes no path"):
        load_macro("somewhere")


def test_macro_is_203_quarters_of_12_series() -> None:
    series = load_macro(None, targets=("infl", "realgdp"))
    assert tuple(series.values.shape) == (203, 12)
    assert (series.dates or ())[0] == "1959Q1"
    assert [series.names[target] for target in series.targets] == ["infl", "realgdp"]
    series.check()


def test_parts_end_where_the_shares_say() -> None:
    assert borders(100, (0.7, 0.1, 0.2)) == (70, 80, 100)
    assert borders(101, (0.6, 0.2, 0.2)) == (60, 81, 101)
    assert borders(17420, (8640, 2880, 2880)) == (8640, 11520, 14400)
    assert borders(100, (0.5, 0.1, 0.1)) == (50, 60, 70)
    for wrong in ((0.7, 0.3), (0.7, 0.3, 0.2), (0.0, 0.5, 0.5), (2.5, 1, 1), (1, 0.5, 0.5)):
        with pytest.raises(InputError, match="data.shares is"):
            borders(100, wrong)
    with pytest.raises(InputError, match="asks for 120 rows, and there are 100"):
        borders(100, (80, 20, 20))
    assert chosen_targets("abc", None) == (0, 1, 2)


def test_series_that_are_too_short_say_so() -> None:
    raw = RawSeries("short", torch.zeros(30, 1), ("a",), None, "", window=18, horizon=7, targets=(0,))
    with pytest.raises(InputError) as error:
        raw.check()
    for words in ("training part has 21 of 30 rows", "validation part has 3 rows", "test part has 6 rows"):
        assert words in str(error.value)
