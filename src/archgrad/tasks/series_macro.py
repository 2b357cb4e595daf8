"""statsmodels' macroeconomic series of the United States, which need no download: 203 quarters, 12 series."""

from __future__ import annotations

import torch

from archgrad.errors import InputError
from archgrad.tasks.raw import digest
from archgrad.tasks.series import SHARES, RawSeries, chosen_targets

__all__ = ["load_macro"]


def load_macro(
    argument: str | None,
    *,
    window: int = 12,
    horizon: int = 4,
    targets: tuple[str, ...] | None = None,
    shares: tuple[float, ...] = SHARES,
    season: int = 4,
    anchor: bool = True,
) -> RawSeries:
    """Macroeconomic series of the United States from statsmodels: 203 quarters from 1959 on, 12 series; bundled.

    Args:
        argument: none.
        window: quarters that a forecast sees.
        horizon: quarters that are forecast.
        targets: names of the series that are forecast; all where none are named.
        shares: training, validation and test part, as shares of the rows or as numbers of rows.
        season: rows after which the series repeat, for the seasonal baseline.
        anchor: whether networks see each window relative to its last values; these series grow over the decades.

    Raises:
        InputError: a path was given, or there is no such series.
    """
    if argument is not None:
        raise InputError(f"macro comes with statsmodels and takes no path; got '{argument}'. Write just: macro")
    from statsmodels.datasets import macrodata

    table = macrodata.load_pandas().data
    dates = tuple(f"{int(year)}Q{int(quarter)}" for year, quarter in zip(table["year"], table["quarter"], strict=True))
    table = table.drop(columns=["year", "quarter"])
    values, names = torch.from_numpy(table.to_numpy(dtype="float64")), tuple(map(str, table.columns))
    return RawSeries(
        name="macro",
        values=values,
        names=names,
        dates=dates,
        fingerprint=digest(values, names),
        window=window,
        horizon=horizon,
        targets=chosen_targets(names, targets),
        shares=tuple(shares),
        season=season,
        anchor=anchor,
    )
