"""``evaluate`` and ``predict`` of a network that forecasts series."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from archgrad.api.reopened import is_of, open_again
from archgrad.errors import InputError
from archgrad.network.kinds import Network
from archgrad.tasks.forecasting import ForecastTask
from archgrad.tasks.image import Measure
from archgrad.tasks.series_table import as_table, is_frame, is_series, onwards
from archgrad.tasks.windows import SeriesData

__all__ = ["measure_series", "predict_series"]


def measure_series(
    network: Network,
    about: Mapping[str, Any],
    data: object,
    device: torch.device,
    part: str,
    loss: Measure | None,
    metrics: Mapping[str, Measure] | None,
) -> dict[str, float]:
    """Return the errors of a trained forecaster; arguments as in :func:`archgrad.evaluate`.

    Standardised errors are in the spreads that the network was trained with.

    Raises:
        InputError: the data are missing or hold other series.
    """
    if not (data is None or isinstance(data, str) or is_series(data)):
        raise InputError(
            "A forecaster is evaluated on csv:PATH, macro, hf:NAME, a frame or rows of numbers; got a "
            f"{type(data).__name__}."
        )
    if isinstance(data, str) and not is_of("forecasting", about, data):
        raise InputError(f"A forecaster is evaluated on csv:PATH, macro or hf:NAME; {data} holds no series.")
    plan = network.blueprint
    names = [about["series"][target] for target in plan["targets"]]
    fixed = {"window": plan["window"], "horizon": plan["horizon"], "targets": names}
    opened = open_again(about, data, device, fixed)
    if list(getattr(opened, "names", ())) != about["series"]:
        raise InputError(
            f"{opened.name} does not hold the series of the network, in their order: {', '.join(about['series'])}."
        )
    std = [plan["std"][target] for target in plan["targets"]]
    return ForecastTask(std, loss=loss, metrics=metrics).evaluate(network, cast(SeriesData, opened).once(part))


def predict_series(network: Network, about: Mapping[str, Any], inputs: object, device: torch.device) -> Any:
    """Return the forecasts of the rows that follow; arguments as in :func:`archgrad.predict`.

    Returns:
        For every row ahead ``date``, where the table has dates, else ``step`` from 1 on; and each target's value. Of a
        frame a frame that goes on where it ends, as :func:`archgrad.tasks.series_table.onwards` says.

    Raises:
        InputError: the table cannot be read, lacks series, or has fewer rows than the network's window.
    """
    plan, window = network.blueprint, network.blueprint["window"]
    rows, dates, column, where = _rows(inputs, about)
    if rows.dim() != 2 or rows.shape[1] != len(about["series"]):
        raise InputError(
            f"{where} is {tuple(rows.shape)}; the network takes rows of {len(about['series'])} series: "
            f"{', '.join(about['series'])}."
        )
    if len(rows) < window:
        raise InputError(f"{where} has {len(rows)} rows; the network needs the last {window} to forecast from.")
    if not bool(rows[-window:].isfinite().all()):
        raise InputError(f"{where} holds numbers that are not finite among its last {window} rows.")
    with torch.no_grad():
        ahead = network(rows[-window:].float()[None].to(device))[0].cpu().tolist()
    names = [about["series"][target] for target in plan["targets"]]
    if is_frame(inputs):
        return onwards(cast(Any, inputs), column, names, ahead)
    places: list[dict[str, Any]] = [{"step": step} for step in range(1, len(ahead) + 1)]
    if dates is not None:
        from archgrad.tasks.dates import continued

        places = [{"date": date} for date in continued(dates, len(ahead))]
    return [{**place, **dict(zip(names, row, strict=True))} for place, row in zip(places, ahead, strict=True)]


def _rows(inputs: object, about: Mapping[str, Any]) -> tuple[Tensor, tuple[str, ...] | None, str | None, str]:
    """Return the rows [rows, F] that are given, their dates, the column these are in, and what to call the rows."""
    if not (isinstance(inputs, (str, Path)) or is_frame(inputs)):
        try:
            # a copy, because what a frame gives out as its array may be for reading alone
            rows = inputs if isinstance(inputs, Tensor) else torch.from_numpy(np.array(inputs))
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"A {type(inputs).__name__} cannot be forecast from. Give a CSV file, a frame, or rows of numbers "
                "[rows, series]."
            ) from error
        single = rows.dim() == 1 and len(about["series"]) == 1
        return rows[:, None] if single else rows, None, None, "The array"
    from archgrad.tasks.series_csv import read_table, series_of

    if is_frame(inputs):
        table, where = as_table(inputs)
    else:
        where = str(inputs)
        try:
            table = read_table(where)
        except OSError as error:
            raise InputError(f"The table {where} cannot be read: {error.strerror or error}.") from error
    if missing := [name for name in about["series"] if name not in table.columns]:
        raise InputError(
            f"{where} lacks series of the network: {', '.join(missing)}. Its columns: {', '.join(table.columns)}."
        )
    index = table.attrs.get("date")
    named = index or (about.get("data_options") or {}).get("date")
    # other columns are left out, among them numbers that nobody asks for; dates are found among what is no series
    others = [name for name in table.columns if name not in about["series"]]
    found = [named] if named in others else [name for name in others if _dates(table[[name]])]
    kept = table[[*found[:1], *about["series"]]]
    kept.attrs.update(table.attrs)
    _, values, dates = series_of(kept, found[0] if found else None, where)
    return torch.from_numpy(values), dates, found[0] if found and not index else None, where


def _dates(column: Any) -> bool:
    from archgrad.tasks.series_csv import date_column

    return date_column(column) is not None
