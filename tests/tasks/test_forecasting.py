"""Forecasts are measured over a whole part at once, in standardised and in the data's own units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from archgrad.errors import InputError, RunError
from archgrad.tasks.forecasting import ForecastTask, correlation, relative_squared_error

STD = (2.0, 5.0)


def pair(n: int = 30) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(n, 3, 2, generator=generator) * torch.tensor(STD)
    return truth + torch.randn(n, 3, 2, generator=generator), truth


def test_the_metrics_are_those_of_numpy() -> None:
    output, truth = pair()
    found = ForecastTask(STD).evaluate(lambda x: x, [(output[:7], truth[:7]), (output[7:], truth[7:])])
    f, y, std = output.double().numpy(), truth.double().numpy(), np.array(STD)
    error = (f - y) / std
    expected = {
        "loss": (error**2).mean(),
        "mse": (error**2).mean(),
        "mae": np.abs(error).mean(),
        "mse_data": ((f - y) ** 2).mean(),
        "mae_data": np.abs(f - y).mean(),
        "rse": np.sqrt((error**2).sum() / ((y / std - (y / std).mean()) ** 2).sum()),
        "corr": np.mean([np.corrcoef(f[:, h, k], y[:, h, k])[0, 1] for h in range(3) for k in range(2)]),
    }
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_mean_has_a_relative_error_of_1_and_no_correlation() -> None:
    _, truth = pair()
    mean = truth.mean().expand_as(truth)
    assert float(relative_squared_error(mean, truth)) == pytest.approx(1.0)
    assert float(correlation(mean, truth)) == 0.0
    assert float(correlation(truth, truth)) == pytest.approx(1.0)
    truth[:, :, 1] = 3.0  # a series that does not vary does not count
    assert float(correlation(truth, truth)) == pytest.approx(1.0)
    assert float(correlation(truth, torch.ones_like(truth))) == 0.0


def test_losses_and_metrics_may_be_the_users_own() -> None:
    output, truth = pair()
    task = ForecastTask(
        STD, loss=lambda o, t: (o - t).abs().mean(), metrics={"worst": lambda o, t: (o - t).abs().max()}
    )
    found = task.evaluate(lambda x: x, [(output, truth)])
    assert set(found) == {"loss", "worst"}
    assert float(task.loss(output, truth)) == pytest.approx(found["loss"])
    assert task.training_loss()(output, truth) == task.loss(output, truth)
    with pytest.raises(InputError, match="label_smoothing"):
        task.training_loss(0.1)
    with pytest.raises(InputError, match="one number as a tensor; it returned float"):
        ForecastTask(STD, loss=lambda o, t: 1.0).loss(output, truth)
    with pytest.raises(InputError, match="'mse' must be a callable"):
        ForecastTask(STD, metrics={"mse": 3})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="called 'loss'"):
        ForecastTask(STD, metrics={"loss": relative_squared_error})
    with pytest.raises(RunError, match="nothing to evaluate"):
        task.evaluate(lambda x: x, [])
