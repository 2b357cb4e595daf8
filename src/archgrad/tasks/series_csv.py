"""Series from a CSV file: the date column is found or named, and whatever is no number is reported with its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from archgrad.errors import InputError, several, unknown
from archgrad.tasks.dates import parsed
from archgrad.tasks.raw import digest
from archgrad.tasks.series import SHARES, RawSeries, chosen_targets

__all__ = ["date_column", "load_csv", "read_table", "series_of"]

NAMED = 10
"""How many wrong cells a message names at most."""


def load_csv(
    argument: str | None,
    *,
    date: str | None = None,
    window: int = 96,
    horizon: int = 24,
    targets: tuple[str, ...] | None = None,
    shares: tuple[float, ...] = SHARES,
    season: int = 24,
    anchor: bool = True,
) -> RawSeries:
    """Series from a CSV file, one row a time step; csv:PATH, compressed too.

    Args:
        argument: the file.
        date: the column with the dates; found where it is not named.
        window: rows that a forecast sees.
        horizon: rows that are forecast.
        targets: names of the series that are forecast; all where none are named.
        shares: training, validation and test part, as shares of the rows or as numbers of rows.
        season: rows after which the series repeat, for the seasonal baseline.
        anchor: whether networks see each window relative to its last values.

    Raises:
        InputError: no path was given, the file is no such table, or cells are empty or no numbers.
    """
    if argument is None:
        raise InputError("csv needs the path of a file: csv:PATH")
    names, values, dates = series_of(read_table(argument), date, argument)
    return RawSeries(
        name=f"csv:{argument}",
        values=torch.from_numpy(values),
        names=names,
        dates=dates,
        fingerprint=digest(torch.from_numpy(values), names),
        window=window,
        horizon=horizon,
        targets=chosen_targets(names, targets),
        shares=tuple(shares),
        season=season,
        anchor=anchor,
    )


def read_table(path: str) -> pd.DataFrame:
    """Return the file's cells as text; columns are named by the first line, or numbered if that holds numbers alone.

    Raises:
        InputError: it cannot be read as a table.
    """
    try:
        table = pd.read_csv(path, dtype=str, header=None, keep_default_na=False, skip_blank_lines=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no table of comma-separated values: {str(error).strip()}.") from error
    first = [str(cell).strip() for cell in table.iloc[0]]
    if all(_number(cell) is not None for cell in first):
        table.columns = pd.Index([str(number) for number in range(table.shape[1])])
        table.attrs["first_line"] = 1
        return table
    table = table.iloc[1:].reset_index(drop=True)
    table.columns = pd.Index(first)
    table.attrs["first_line"] = 2
    if len(set(first)) < len(first):
        raise InputError(f"{path} has two columns of one name: {', '.join(first)}.")
    if not len(table):
        raise InputError(f"{path} holds a line of names and no rows.")
    return table


def series_of(
    table: pd.DataFrame, date: str | None, where: str
) -> tuple[tuple[str, ...], np.ndarray[Any, np.dtype[np.float64]], tuple[str, ...] | None]:
    """Return names, values [rows, F] and dates of a table.

    Args:
        table: of text as :func:`read_table` gives it, or with columns of numbers; its ``attrs`` say how rows are
            called in messages (``row_word``) and the number of the first (``first_line``).
        date: the column with the dates; None: the first whose cells are dates and no numbers.
        where: the file, for messages.

    Raises:
        InputError: cells are empty or no numbers, or dates do not ascend; all problems are listed with row and column.
    """
    if date is not None and date not in table.columns:
        raise unknown("column", date, [str(name) for name in table.columns], "data.date")
    date = date_column(table) if date is None else date
    first, word = int(table.attrs.get("first_line", 1)), str(table.attrs.get("row_word", "line"))
    problems = []
    dates = None
    if date is not None:
        dates = tuple(str(cell) for cell in table[date])
        problems += [f"{word} {row + first}, column '{date}': {what}" for row, what in _date_problems(dates)]
    names = tuple(str(name) for name in table.columns if name != date)
    if not names:
        raise InputError(f"{where} holds no column of numbers.")
    values = np.empty((len(table), len(names)))
    for column, name in enumerate(names):
        values[:, column] = _numbers(table[name])
        for row in np.flatnonzero(~np.isfinite(values[:, column])):
            cell = table[name].iloc[row]
            empty = pd.isna(cell) or not str(cell).strip()
            what = "empty" if empty else f"'{cell}', which is no finite number"
            problems.append(f"{word} {row + first}, column '{name}': the cell is {what}")
    if problems:
        shown = problems[:NAMED]
        if len(problems) > NAMED:
            shown.append(f"and {len(problems) - NAMED} more")
        raise several(f"{where} has gaps or cells that are no numbers", shown)
    return names, values, dates


def _numbers(cells: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a column as numbers; what is none, or not finite, is not finite."""
    if pd.api.types.is_float_dtype(cells.dtype) or pd.api.types.is_integer_dtype(cells.dtype):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    found = (_number(str(cell).strip()) for cell in cells)
    return np.array([np.nan if value is None else value for value in found])


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def date_column(table: pd.DataFrame) -> str | None:
    """Return the name of the first column whose first cells are dates and not numbers, or None."""
    for name in table.columns:
        cells = [str(cell).strip() for cell in table[name].iloc[:5]]
        if all(cell and _number(cell) is None for cell in cells) and not parsed(cells).isna().any():
            return str(name)
    return None


def _date_problems(dates: tuple[str, ...]) -> list[tuple[int, str]]:
    """Say which dates are none, or the first that does not come after the one before, each with its row."""
    moments = parsed(dates)
    wrong = [row for row, missing in enumerate(moments.isna()) if missing]
    if wrong:
        return [(row, f"'{dates[row]}' is no date") for row in wrong]
    backwards = (moments.diff().iloc[1:] <= pd.Timedelta(0)).to_numpy().nonzero()[0]
    if len(backwards):
        row = int(backwards[0]) + 1
        return [(row, f"{dates[row]} does not come after {dates[row - 1]}")]
    return []
