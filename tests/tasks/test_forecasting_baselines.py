"""Baselines forecast what their names say, with the metrics of the task."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from archgrad.errors import InputError
from archgrad.tasks.forecasting_baselines import (
    GatedForecaster,
    LinearForecaster,
    count,
    fit_network,
    gated_of_size,
    last_value,
    seasonal_naive,
    vector_autoregression,
)
from archgrad.tasks.series import RawSeries
from archgrad.tasks.windows import SeriesData


def series(
    values: torch.Tensor, *, season: int = 6, window: int = 12, horizon: int = 4, anchor: bool = False
) -> SeriesData:
    names = tuple("abc"[: values.shape[1]])
    raw = RawSeries("made", values.double(), names, None, "", window, horizon, tuple(range(len(names))), season=season)
    raw = RawSeries(**{**raw.__dict__, "anchor": anchor})
    return SeriesData(raw, name="made", seed=0, batch=16, choice_share=0.0, device=torch.device("cpu"))


TIME = torch.arange(240.0)
WAVE = torch.stack([torch.sin(2 * torch.pi * TIME / 6), torch.cos(2 * torch.pi * TIME / 6)], dim=1)


def test_the_last_value_is_right_about_what_does_not_change() -> None:
    steady = last_value(series(torch.ones(240, 2)))
    assert (steady.metrics["mse"], steady.parameters) == (0.0, 0)
    ramp = last_value(series(TIME[:, None]))
    assert ramp.metrics["mae_data"] == pytest.approx(2.5)  # 1, 2, 3 and 4 steps too low


def test_the_seasonal_forecast_is_right_about_what_repeats() -> None:
    assert seasonal_naive(series(WAVE)).metrics["mse"] < 1e-10
    assert seasonal_naive(series(WAVE[:, :1], season=4, horizon=9)).metrics["mse"] > 0.1
    with pytest.raises(InputError, match="does not hold a season of 13"):
        seasonal_naive(series(WAVE, season=13))


def test_a_var_finds_the_process_that_made_the_series() -> None:
    random, rows = np.random.default_rng(0), [np.zeros(2)]
    matrix = np.array([[0.7, 0.2], [-0.3, 0.6]])
    for _ in range(699):
        rows.append(matrix @ rows[-1] + 0.1 * random.standard_normal(2) + np.array([1.0, 0.0]))
    data = series(torch.from_numpy(np.array(rows)), window=8, horizon=1)
    fitted = vector_autoregression(data)
    assert fitted.name == "VAR(1)"
    assert fitted.parameters == 6
    assert fitted.metrics["mse_data"] == pytest.approx(0.01, rel=0.2)  # the noise that nobody can foresee
    with pytest.raises(InputError, match="too few for a VAR"):
        vector_autoregression(data, orders=(100,))


def test_a_linear_network_learns_waves_and_starts_from_the_level() -> None:
    fitted = fit_network("linear", LinearForecaster(series(WAVE)), series(WAVE), steps=120, rate=2e-2)
    assert fitted.metrics["mse"] < 0.05
    assert fitted.parameters == 2 * (12 * 4 + 4)
    network, x = LinearForecaster(series(WAVE, anchor=True)), torch.randn(3, 12, 2)
    torch.testing.assert_close(network(x + 100), network(x) + 100, rtol=1e-4, atol=1e-3)
    with pytest.raises(InputError, match="at least one step"):
        fit_network("linear", network, series(WAVE), steps=0)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gated_networks_have_the_wanted_size_and_learn(kind: str) -> None:
    data = series(WAVE)
    network = gated_of_size(data, kind, 5000)  # type: ignore[arg-type]
    assert isinstance(network, GatedForecaster)
    assert abs(count(network) / 5000 - 1) < 0.05
    torch.manual_seed(0)
    small = GatedForecaster(data, kind, 8)  # type: ignore[arg-type]
    assert fit_network(kind, small, data, steps=80, rate=3e-2).metrics["mse"] < 0.3
