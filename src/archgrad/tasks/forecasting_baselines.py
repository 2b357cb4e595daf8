"""What a found forecaster is compared with: last value, seasonal naive, VAR, a linear network, LSTM and GRU.

All see exactly the windows of the part ``train`` and are measured on ``test`` with the task's own metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archgrad.errors import InputError
from archgrad.network.heads import ForecastEnds
from archgrad.tasks.equal_size import MeasuredBaseline, units_for
from archgrad.tasks.forecasting import ForecastTask
from archgrad.tasks.windows import SeriesData

__all__ = [
    "GatedForecaster",
    "LinearForecaster",
    "fit_network",
    "gated_of_size",
    "last_value",
    "measure",
    "repeats_last",
    "repeats_season",
    "seasonal_naive",
    "vector_autoregression",
]

Forecaster = Callable[[Tensor], Tensor]
"""Windows [N, T, F] -> forecasts [N, horizon, targets], in the data's units."""


def measure(
    name: str, forecaster: Forecaster, data: SeriesData, parameters: int = 0, seconds: float = 0.0
) -> MeasuredBaseline:
    """Return a forecaster's metrics on the test part."""
    task = ForecastTask([data.std[target] for target in data.targets])
    metrics = task.evaluate(forecaster, data.once("test"))
    return MeasuredBaseline(name=name, metrics=metrics, parameters=parameters, seconds=seconds)


def last_value(data: SeriesData) -> MeasuredBaseline:
    """Forecast that everything stays as it is."""
    return measure("last value", repeats_last(data), data)


def seasonal_naive(data: SeriesData) -> MeasuredBaseline:
    """Forecast what was seen one season before.

    Raises:
        InputError: the window is shorter than the season.
    """
    return measure(f"seasonal naive ({data.season})", repeats_season(data), data)


def repeats_last(data: SeriesData) -> Forecaster:
    """Return the forecaster that takes the last row for all that follow."""
    return lambda x: x[:, -1:, list(data.targets)].expand(-1, data.horizon, -1)


def repeats_season(data: SeriesData) -> Forecaster:
    """Return the forecaster that takes the rows of the last season, over and over.

    Raises:
        InputError: the window is shorter than the season.
    """
    season = data.season
    if season > data.window:
        raise InputError(f"A window of {data.window} rows does not hold a season of {season}; set data.season lower.")
    rows = [data.window - season + step % season for step in range(data.horizon)]
    return lambda x: x[:, rows][:, :, list(data.targets)]


def vector_autoregression(data: SeriesData, orders: Sequence[int] = (1, 2, 4, 8)) -> MeasuredBaseline:
    """Fit statsmodels' VAR on the standardised rows outside the test part; the order by the Bayesian criterion.

    Args:
        data: the series.
        orders: lags to choose from; those that the window or the rows cannot hold are passed over.

    Raises:
        InputError: no order fits.
    """
    from statsmodels.tsa.api import VAR

    started = time.perf_counter()
    mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (data.mean, data.std))
    rows = ((data.raw.values[: data.rows[1]] - mean) / std).numpy()
    series = rows.shape[1]
    possible = [order for order in orders if order <= data.window and (series * order + 1) * 2 < len(rows) - order]
    if not possible:
        raise InputError(f"{len(rows)} rows are too few for a VAR of {series} series.")
    fits = [VAR(rows).fit(order, trend="c") for order in possible]
    best = min(fits, key=lambda fit: float(fit.bic))
    order = int(best.k_ar)
    lags = torch.from_numpy(best.coefs.copy())  # [order, F, F]
    constant = torch.from_numpy(best.intercept.copy())

    def forecast(x: Tensor) -> Tensor:
        known = list(((x.double().cpu() - mean) / std).unbind(1))
        for _ in range(data.horizon):
            # a clamp, because a fit with a root outside of the unit circle runs away over long horizons
            known.append((constant + sum(known[-lag - 1] @ lags[lag].T for lag in range(order))).clamp(-1e3, 1e3))
        ahead = torch.stack(known[-data.horizon :], dim=1) * std + mean
        return ahead[:, :, list(data.targets)].to(x)

    seconds = time.perf_counter() - started
    return measure(f"VAR({order})", forecast, data, int(lags.numel() + constant.numel()), seconds)


class LinearForecaster(nn.Module):
    """A trend and a rest, each mapped linearly from window to horizon, with weights shared by all series (DLinear).

    After arXiv 2205.13504: the trend is a moving average over ``kernel`` rows, the ends repeated.

    Args:
        data: gives window, horizon, targets and scaling.
        kernel: rows of the moving average (DLinear: 25), at most the window.
    """

    def __init__(self, data: SeriesData, kernel: int = 25) -> None:
        super().__init__()
        self.kernel = min(kernel, data.window) - (1 - min(kernel, data.window) % 2)
        self.targets = list(data.targets)
        self.trend = nn.Linear(data.window, data.horizon)
        self.rest = nn.Linear(data.window, data.horizon)
        self.ends = ForecastEnds(len(data.names), 1, data.horizon, data.targets, data.mean, data.std, data.anchor)
        del self.ends.decoder

    def forward(self, x: Tensor) -> Tensor:
        """Return the forecasts [N, horizon, targets] of windows [N, T, F], both in the data's units."""
        series = self.ends.enter(x).permute(1, 2, 0)[:, self.targets]
        half = self.kernel // 2
        padded = F.pad(series, (half, half), mode="replicate") if half else series
        trend = F.avg_pool1d(padded, self.kernel, 1)
        return self.ends.restore((self.trend(trend) + self.rest(series - trend)).transpose(1, 2), x)


class GatedForecaster(nn.Module):
    """An LSTM or a GRU of torch between the same ends as a found cell.

    Args:
        data: gives window, horizon, targets and scaling.
        kind: which.
        hidden: its units.
    """

    def __init__(self, data: SeriesData, kind: Literal["lstm", "gru"], hidden: int) -> None:
        super().__init__()
        inputs = len(data.names)
        self.core = nn.LSTM(inputs, hidden) if kind == "lstm" else nn.GRU(inputs, hidden)
        self.ends = ForecastEnds(inputs, hidden, data.horizon, data.targets, data.mean, data.std, data.anchor)

    def forward(self, x: Tensor) -> Tensor:
        """Return the forecasts [N, horizon, targets] of windows [N, T, F], both in the data's units."""
        states, _ = self.core(self.ends.enter(x))
        return self.ends.leave(states[-1], x)


def gated_of_size(data: SeriesData, kind: Literal["lstm", "gru"], parameters: int) -> GatedForecaster:
    """Build the LSTM or GRU whose number of parameters is nearest to the given one.

    Args:
        data: the series.
        kind: which.
        parameters: of the network that it is compared with.
    """

    def size(hidden: int) -> int:
        with torch.device("meta"):
            return count(GatedForecaster(data, kind, hidden))

    return GatedForecaster(data, kind, units_for(parameters, size))


def fit_network(
    name: str, network: nn.Module, data: SeriesData, *, steps: int, rate: float = 1e-3, clip: float = 1.0
) -> MeasuredBaseline:
    """Train a forecaster with Adam and a cosine to 0 on the part ``train``, and test it.

    Args:
        name: what it is, in words.
        network: windows -> forecasts.
        data: the series.
        steps: of the optimiser.
        rate: learning rate of the first step.
        clip: largest norm of the gradient.

    Raises:
        InputError: fewer than one step.
    """
    if steps < 1:
        raise InputError(f"A baseline needs at least one step of training; got steps={steps}.")
    task = ForecastTask([data.std[target] for target in data.targets])
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    started = time.perf_counter()
    network.train()
    for (x, y), _ in zip(data.stream("train"), range(steps), strict=False):
        optimiser.zero_grad()
        task.loss(network(x), y).backward()
        nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimiser.step()
        schedule.step()
    seconds = time.perf_counter() - started
    network.eval()
    return measure(name, network, data, count(network), seconds)


def count(network: nn.Module) -> int:
    """Return the number of trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters())
