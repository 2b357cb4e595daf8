"""What is kept of a forecaster is what it forecasts, and its error by step is the plain mean."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from archgrad.tasks.data import open_data
from archgrad.tasks.forecast_record import error_by_step, forecast_record
from archgrad.tasks.windows import SeriesData

TABLE = np.random.default_rng(0).normal(size=(60, 3)).cumsum(axis=0)


def data(**options: object) -> SeriesData:
    options = {"window": 5, "horizon": 3, "targets": ["2", "0"], "season": 4, **options}
    opened = open_data(TABLE, seed=0, batch=4, choice_share=0.0, device="cpu", options=options)
    assert isinstance(opened, SeriesData)
    return opened


def mean_of_window(x: Tensor) -> Tensor:
    return x.mean(1, keepdim=True)[:, :, [2, 0]].expand(-1, 3, -1)


def test_the_error_by_step_is_the_mean_over_windows_and_targets() -> None:
    series, by_hand = data(), []
    spread = TABLE[:42].std(axis=0)
    for start in range(48, 60 - 3 + 1):
        ahead = TABLE[start - 5 : start].mean(axis=0)
        by_hand.append(np.abs(TABLE[start : start + 3] - ahead) / spread)
    expected = np.mean(by_hand, axis=0)[:, [2, 0]].mean(axis=1)
    np.testing.assert_allclose(error_by_step(mean_of_window, series).numpy(), expected, rtol=1e-5)


def test_windows_are_spread_over_the_test_part_and_told_in_the_units_of_the_data() -> None:
    record = json.loads(json.dumps(forecast_record(mean_of_window, data()), allow_nan=False))
    assert record["targets"] == ["2", "0"] and record["part"] == "test"
    assert [window["row"] for window in record["windows"]] == [48, 52, 57]
    first = record["windows"][0]
    assert first["dates"] is None
    np.testing.assert_allclose(first["seen"], TABLE[43:48][:, [2, 0]], rtol=1e-4)
    np.testing.assert_allclose(first["truth"], TABLE[48:51][:, [2, 0]], rtol=1e-4)
    np.testing.assert_allclose(first["forecast"], [TABLE[43:48].mean(axis=0)[[2, 0]]] * 3, rtol=1e-4)
    assert list(record["error_by_step"]) == ["network", "last value", "seasonal naive (4)"]


def test_a_season_longer_than_the_window_and_numbers_that_are_none_are_left_out() -> None:
    record = forecast_record(lambda x: mean_of_window(x) * torch.nan, data(season=6))
    assert list(record["error_by_step"]) == ["network", "last value"]
    assert record["windows"][2]["forecast"] == [[None, None]] * 3 and record["error_by_step"]["network"] == [None] * 3
