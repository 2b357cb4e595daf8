"""Series given from Python: pandas frames, arrays, tensors and lists, read by the rules that CSV files are read by."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from archgrad.errors import InputError
from archgrad.tasks.raw import digest
from archgrad.tasks.series import SHARES, RawSeries, chosen_targets
from archgrad.tasks.split import VALIDATION_SHARE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_table", "is_frame", "is_series", "load_table", "onwards"]


def is_frame(given: object) -> bool:
    """Say whether an object is a frame or a series of pandas, without importing it: who has one has imported it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, (pandas.DataFrame, pandas.Series))


def is_series(given: object) -> bool:
    """Say whether the user's own object holds series; images are pairs, data sets, loaders, or have more dimensions."""
    if isinstance(given, Mapping):
        return "train" in given and is_series(given["train"])
    if isinstance(given, (list, tuple)):
        # two things are a pair of images and labels, and two rows are too few to be forecast
        return len(given) > 2 and _is_row(given[0])
    return is_frame(given) or (isinstance(given, (np.ndarray, Tensor)) and given.ndim in (1, 2))


def _is_row(given: object) -> bool:
    if isinstance(given, (list, tuple)):
        return bool(given) and all(isinstance(cell, (Real, str)) for cell in given)
    return isinstance(given, Real) or (isinstance(given, (np.ndarray, Tensor)) and given.ndim <= 1)


def load_table(
    given: object,
    *,
    date: str | None = None,
    window: int = 96,
    horizon: int = 24,
    targets: tuple[str, ...] | None = None,
    shares: tuple[float, ...] | None = None,
    season: int = 24,
    anchor: bool = True,
) -> RawSeries:
    """Take the user's own table as series; options and defaults are those of csv:PATH.

    Args:
        given: what :func:`as_table` takes; or a mapping with such ``"train"`` and ``"test"``, the rows that follow.
        date: the column with the dates; found where it is not named, first of all in the index.
        window: rows that a forecast sees.
        horizon: rows that are forecast.
        targets: names of the series that are forecast; all where none are named.
        shares: training, validation and test part; of a mapping, a tenth of ``"train"`` is the validation part.
        season: rows after which the series repeat, for the seasonal baseline.
        anchor: whether networks see each window relative to its last values.

    Raises:
        InputError: it is no table, or cells are empty or no numbers.
    """
    from archgrad.tasks.series_csv import series_of

    if isinstance(given, Mapping):
        table, where, sizes = _followed(given, horizon)
        if shares is not None:
            raise InputError('data.shares divides one table; here "test" is given, and "train" is the rest.')
        shares = sizes
    else:
        table, where = as_table(given)
    names, values, dates = series_of(table, date or table.attrs.get("date"), where)
    return RawSeries(
        name="own " + where.removeprefix("The "),
        values=torch.from_numpy(values),
        names=names,
        dates=dates,
        fingerprint=digest(torch.from_numpy(values), names),
        window=window,
        horizon=horizon,
        targets=chosen_targets(names, targets),
        shares=tuple(shares or SHARES),
        season=season,
        anchor=anchor,
    )


def _followed(given: Mapping[Any, Any], horizon: int) -> tuple[pd.DataFrame, str, tuple[float, ...]]:
    """Return training and test table as one, and the rows of the three parts."""
    import pandas as pd

    if sorted(map(str, given)) != ["test", "train"]:
        got = ", ".join(map(str, given))
        raise InputError(f"Series given as a dictionary have the keys train and test; got: {got}.")
    (train, where), (test, _) = as_table(given["train"]), as_table(given["test"])
    if list(train.columns) != list(test.columns):
        raise InputError(
            f"The training table has the columns {', '.join(train.columns)}, the test table {', '.join(test.columns)}."
        )
    table = pd.concat([train, test], ignore_index=True)
    table.attrs.update(train.attrs)
    validation = max(horizon, round(VALIDATION_SHARE * len(train)))
    return table, where, (len(train) - validation, validation, len(test))


def as_table(given: object) -> tuple[pd.DataFrame, str]:
    """Return the user's own object as a table, dates of an index as its first column, and what to call it.

    The table's ``attrs`` hold what :func:`archgrad.tasks.series_csv.series_of` asks for, and under ``date`` the name
    that the index got, if it holds dates.

    Args:
        given: a frame or series of pandas, an array, a tensor or a list; [time, series], or [time] of one.

    Raises:
        InputError: it has no rows, or its columns are not as many or as different as they must be.
    """
    import pandas as pd

    where = "The list" if isinstance(given, (list, tuple)) else f"The {_word(given)}"
    if isinstance(given, pd.Series):
        table = given.to_frame("value" if given.name is None else given.name)
    elif isinstance(given, pd.DataFrame):
        table = given.copy(deep=False)
    else:
        cells = _cells(given, where)
        if cells.ndim not in (1, 2):
            raise InputError(f"{where} is {cells.shape}; series are [time, series], or [time] of a single one.")
        table = pd.DataFrame(cells)
    if table.columns.nlevels > 1 or table.index.nlevels > 1:
        raise InputError(f"{where} has several levels of names; leave one, for instance by frame.droplevel(...).")
    table.columns = pd.Index([str(name) for name in table.columns])
    if not table.columns.is_unique:
        raise InputError(f"{where} has two columns of one name: {', '.join(table.columns)}.")
    if not len(table):
        raise InputError(f"{where} has no rows.")
    dates = _index_dates(table.index)
    table = table.reset_index(drop=True)
    for name in table.columns:
        cells = pd.Index(table[name])
        if isinstance(cells, (pd.DatetimeIndex, pd.PeriodIndex)):
            table[name] = _as_text(cells)
    table.attrs = {"first_line": 0, "row_word": "row"}
    if dates is not None:
        named = str(dates.name) if dates.name is not None else "index"
        name = named if named not in table.columns else "the index"
        table.insert(0, name, list(dates))
        table.attrs["date"] = name
    return table, where


def _word(given: object) -> str:
    return "tensor" if isinstance(given, Tensor) else "frame" if is_frame(given) else "array"


def _cells(given: object, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    if isinstance(given, Tensor):
        return given.detach().cpu().double().numpy()
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} cannot be read as rows of equal length: {error}.") from error


def _index_dates(index: pd.Index[Any]) -> pd.Index[Any] | None:
    """Return an index of dates as text, or None if it holds none."""
    import pandas as pd

    from archgrad.tasks.series_csv import date_column

    text = _as_text(index)
    dated = isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)) or date_column(pd.DataFrame({"cells": text}))
    return text if dated else None


def _as_text(cells: pd.Index[Any]) -> pd.Index[Any]:
    """Return dates as a file would have them, without hours where all are midnight; of a zone in UTC."""
    import pandas as pd

    if isinstance(cells, pd.PeriodIndex):
        cells = cells.to_timestamp()
    if isinstance(cells, pd.DatetimeIndex) and cells.tz is not None:
        cells = cells.tz_convert(None)
    return cells.astype(str)


def onwards(
    given: pd.DataFrame | pd.Series[Any], date: str | None, names: list[str], ahead: list[list[float]]
) -> pd.DataFrame:
    """Return forecasts as a frame that goes on where the given one ends.

    Args:
        given: dates in its index or in a column, or none.
        date: name of that column, if it is one.
        names: of the columns of ``ahead``.
        ahead: forecasts, a row a step.

    Returns:
        The next dates in the index or in the column, of the type that they have; a numbered index goes on too, and any
        other becomes ``step``, from 1 on.
    """
    import pandas as pd

    steps = len(ahead)
    index = given.index
    further: pd.Index[Any]
    if _index_dates(index) is not None:
        further = _dates_onwards(index, steps)
    elif isinstance(index, pd.RangeIndex):
        first = index[-1] + index.step
        further = pd.RangeIndex(first, first + index.step * steps, index.step, name=index.name)
    else:
        further = pd.RangeIndex(1, steps + 1, name="step")
    frame = pd.DataFrame(ahead, columns=pd.Index(names), index=further)
    if date is not None:
        frame.insert(0, date, _dates_onwards(pd.Index(given[date]), steps))
    return frame


def _dates_onwards(index: pd.Index[Any], steps: int) -> pd.Index[Any]:
    import pandas as pd

    from archgrad.tasks.dates import continued, following

    if isinstance(index, pd.PeriodIndex):
        further: pd.Index[Any] = pd.period_range(index[-1] + 1, periods=steps, freq=index.freq)
    elif isinstance(index, pd.DatetimeIndex):
        further = following(index, steps)
    else:
        further = pd.Index(continued([str(cell) for cell in index], steps))
    return further.rename(index.name)
