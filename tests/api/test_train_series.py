"""Training a found recurrent cell on series: from scratch, from the supernet, resumed, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import archgrad
from archgrad.api.train import train
from archgrad.api.train_origin import find_origin
from archgrad.api.train_series import searched_forecaster
from archgrad.errors import InputError
from archgrad.network.saved import load_network
from archgrad.runs.log import read

METRICS = {"loss", "mse", "mae", "rse", "corr", "mse_data", "mae_data"}


def test_a_found_cell_is_trained_and_comes_back_whole(forecast_searched: Path) -> None:
    result = train(forecast_searched, device="cpu")
    assert (result.hidden, result.cells, result.epochs, result.data) == (4, None, 2, "macro")
    assert set(result.metrics) == METRICS and all(value == value for value in result.metrics.values())
    network, about = load_network(forecast_searched / "model.safetensors")
    plan = network.blueprint
    assert (plan["kind"], plan["window"], plan["horizon"], len(plan["targets"])) == ("forecast", 4, 2, 2)
    assert plan["series"] == about["series"] and len(plan["mean"]) == 12 and plan["anchor"] is True
    assert (about["task"], about["input_shape"]) == ("forecasting", [4, 12])
    x = torch.rand(3, 4, 12) * 100
    with torch.no_grad():
        assert torch.equal(network(x), result.network(x))
    events = [event for event in read(forecast_searched / "log.jsonl") if event.get("phase") == "train"]
    assert events[-1]["test"] == result.metrics
    assert "train_accuracy" not in events[-2]


def test_the_network_learns() -> None:
    settings = {"train.hidden": 8, "data.window": 6, "data.targets": ["realgdp"], "train.rate": 0.01}
    losses: list[float] = []

    def keep(kind: str, state: Any, record: dict[str, Any]) -> None:
        if kind == "epoch":
            losses.append(record["loss"])

    result = train("DARTS_RNN_V2", epochs=6, settings=settings, device="cpu", progress=keep)
    assert losses[-1] < losses[0] / 2
    assert result.metrics["rse"] < 1


def test_what_inherits_starts_as_the_derived_supernet(forecast_searched: Path) -> None:
    first: list[dict[str, torch.Tensor]] = []

    def keep(kind: str, state: Any, record: dict[str, Any]) -> None:
        if not first:
            first.append({name: value.clone() for name, value in state.network.state_dict().items()})

    result = train(
        forecast_searched, inherit=True, device="cpu", epochs=1, settings={"train.rate": 1e-12}, progress=keep
    )
    supernet = searched_forecaster(find_origin(forecast_searched))
    torch.testing.assert_close(first[0]["core.cell.enter"], supernet.core.cell.enter.detach())
    torch.testing.assert_close(first[0]["ends.decoder.weight"], supernet.ends.decoder.weight.detach())
    assert result.network.blueprint["recurrence"]["network"]["node_norm"] is True
    with pytest.raises(InputError, match="supernet's size, 4 hidden units, not hidden=5"):
        train(forecast_searched, inherit=True, settings={"train.hidden": 5})


def test_resumed_leaves_the_same_bytes(forecast_searched: Path, tmp_path: Path) -> None:
    words: dict[str, Any] = {"device": "cpu", "settings": {"train.dropout_hidden": 0.2}}
    train(forecast_searched, run=tmp_path / "whole", **words)

    def stop(state: Any) -> None:
        if state.epoch == 1:
            raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError, match="power"):
        train(forecast_searched, run=tmp_path / "broken", on_epoch=stop, **words)
    train(tmp_path / "broken", resume=True, device="cpu")
    whole, broken = (tmp_path / name / "model.safetensors" for name in ("whole", "broken"))
    assert whole.read_bytes() == broken.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cells": 3}, r"one cell over time and has no cells; its size is train\.hidden"),
        ({"settings": {"train.drop_path": 0.1}}, r"train\.drop_path is 0\.1, which belongs to networks for images"),
        ({"data": "digits"}, "trained on series, and digits holds none"),
        ({"settings": {"train.label_smoothing": 0.1}}, "label_smoothing belongs to classification"),
        ({"inherit": True}, "nothing to inherit"),
    ],
)
def test_what_cannot_be_trained_is_said(words: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(archgrad.published("DARTS_RNN_V2"), **words)


def test_cells_for_images_take_no_series() -> None:
    with pytest.raises(InputError, match="These cells are for images, and macro holds series"):
        train("DARTS_V2", data="macro", epochs=1)
