"""What is kept of a measured forecaster to be shown: some forecasts beside the truth, and the error by step ahead."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from archgrad.tasks.forecasting_baselines import Forecaster, repeats_last, repeats_season
from archgrad.tasks.windows import SeriesData

__all__ = ["error_by_step", "forecast_record"]

WINDOWS = 3
"""How many windows are kept, spread over the test part."""

TARGETS = 8
"""Of how many targets, the first ones."""

SEEN = 2
"""How many horizons before a forecast are kept, as far as the window goes."""

DIGITS = 6


def forecast_record(network: Forecaster, data: SeriesData) -> dict[str, Any]:
    """Return what ``forecasts.json`` holds, plain data.

    Args:
        network: the forecaster, in eval mode.
        data: its part ``test`` is shown.

    Returns:
        ``targets`` (names), ``windows`` (each with ``row``, the number of the first row that is forecast, ``dates`` of
        all its rows or None, ``seen``, ``truth`` and ``forecast``, rows by targets in the data's units), and
        ``error_by_step``: mean absolute error at every step ahead, in spreads of the training rows, of the network and
        of the two baselines that need no training (the seasonal one where the window holds a season).
    """
    starts = data.starts("test")
    places = torch.linspace(0, len(starts) - 1, min(WINDOWS, len(starts))).round().long()
    shown = list(data.targets[:TARGETS])
    seen = min(data.window, SEEN * data.horizon)
    windows = []
    for start in starts[places].tolist():
        x, y = data.windows(torch.tensor([start]))
        with torch.no_grad():
            ahead = network(x)[0]
        dates = data.dates[start - seen : start + data.horizon] if data.dates is not None else None
        windows.append(
            {
                "row": start,
                "dates": list(dates) if dates is not None else None,
                "seen": _plain(x[0, -seen:][:, shown]),
                "truth": _plain(y[0, :, : len(shown)]),
                "forecast": _plain(ahead[:, : len(shown)]),
            }
        )
    forecasters: dict[str, Forecaster] = {"network": network, "last value": repeats_last(data)}
    if data.season <= data.window:
        forecasters[f"seasonal naive ({data.season})"] = repeats_season(data)
    return {
        "schema": 1,
        "part": "test",
        "targets": [data.names[target] for target in shown],
        "windows": windows,
        "error_by_step": {name: _plain(error_by_step(each, data)) for name, each in forecasters.items()},
    }


@torch.no_grad()
def error_by_step(forecaster: Forecaster, data: SeriesData) -> Tensor:
    """Return mean |f - y| / spread over test windows and targets, float64 [horizon].

    Args:
        forecaster: windows [N, T, F] -> forecasts [N, horizon, targets], in the data's units.
        data: its part ``test`` is measured; the spreads are those of its training rows.
    """
    spread = torch.tensor([data.std[target] for target in data.targets], dtype=torch.float64)
    total = torch.zeros(data.horizon, dtype=torch.float64)
    for x, y in data.once("test"):
        total += ((forecaster(x).double() - y.double()).abs().cpu() / spread).mean(2).sum(0)
    return total / data.size("test")


def _plain(values: Tensor) -> Any:
    """Return numbers as lists with few digits; None for what is not finite, which JSON does not know."""
    if values.dim():
        return [_plain(value) for value in values.cpu()]
    number = float(values)
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
