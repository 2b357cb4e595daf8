"""Standard models of equal size are measured beside a trained network, on its data and with its budget."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import archgrad
from archgrad.api.baselines import BASELINES, baselines
from archgrad.errors import InputError
from archgrad.tasks.equal_size import MeasuredBaseline

SMALL: dict[str, dict[str, Any]] = {
    "images": {"data.limit": 96, "data.limit_test": 40, "train.batch": 24, "train.cells": 1, "train.channels": 8},
    "series": {"train.hidden": 6, "train.batch": 64},
    "text": {"train.hidden": 8, "data.window": 10},
}
CELLS = {"images": ("DARTS_V2", "digits"), "series": ("DARTS_RNN_V2", "macro"), "text": ("DARTS_RNN_V2", "text:")}


def trained(kind: str, folder: Path) -> archgrad.TrainResult:
    cell, data = CELLS[kind]
    if kind == "text":
        (folder / "poem.txt").write_text("the cat sat on the mat and the dog ran after the cat\n" * 200)
        data += str(folder / "poem.txt")
    return archgrad.train(cell, data=data, epochs=1, run=folder / kind, device="cpu", settings=SMALL[kind])


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a forecaster, hardly trained."""
    run = trained("series", tmp_path_factory.mktemp("trained")).run
    assert run is not None
    return run


def test_forecasters_meet_everything_that_is_usual(forecaster: Path) -> None:
    heard: list[MeasuredBaseline] = []
    result = baselines(forecaster, device="cpu", on_baseline=heard.append)
    assert list(result.baselines) == list(BASELINES["forecast"])
    assert heard == list(result.baselines.values())
    assert result.metric == "mse"
    assert result.found.metrics == archgrad.evaluate(forecaster)
    assert all(row.metrics.keys() == result.found.metrics.keys() for row in result.baselines.values())
    for name in ("lstm", "gru"):
        assert result.baselines[name].parameters == pytest.approx(result.found.parameters, rel=0.1)


def test_what_was_measured_is_not_measured_again(forecaster: Path, tmp_path: Path) -> None:
    run = shutil.copytree(forecaster, tmp_path / "run")
    first = baselines(run, only=["linear"], device="cpu")
    heard: list[MeasuredBaseline] = []
    assert baselines(run, only=["linear"], device="cpu", on_baseline=heard.append) == first
    assert not heard
    (run / "baselines.json").write_text("{")
    again = baselines(run, only=["linear"], device="cpu", on_baseline=heard.append)
    assert heard[0].metrics == first.baselines["linear"].metrics == again.baselines["linear"].metrics


def test_another_training_is_measured_anew(forecaster: Path, tmp_path: Path) -> None:
    run = shutil.copytree(forecaster, tmp_path / "run")
    baselines(run, only=["last-value"], device="cpu")
    kept = json.loads((run / "baselines.json").read_text())
    kept["of"]["epochs"] = 99
    (run / "baselines.json").write_text(json.dumps(kept))
    heard: list[MeasuredBaseline] = []
    baselines(run, only=["last-value"], device="cpu", on_baseline=heard.append)
    assert heard


def test_what_the_data_do_not_allow_is_left_out_with_a_reason(tmp_path: Path) -> None:
    settings = {**SMALL["series"], "data.window": 3}
    run = archgrad.train("DARTS_RNN_V2", data="macro", epochs=1, run=tmp_path / "run", settings=settings).run
    assert run is not None
    result = baselines(run, device="cpu")
    assert "seasonal-naive" not in result.baselines
    assert "data.season" in result.skipped["seasonal-naive"]
    with pytest.raises(InputError, match=r"data\.season"):
        baselines(run, only=["seasonal-naive"])


@pytest.mark.parametrize(("kind", "first"), [("images", "logistic-regression"), ("text", "unigram")])
def test_images_and_text_have_baselines_of_their_own(kind: str, first: str, tmp_path: Path) -> None:
    run = trained(kind, tmp_path).run
    assert run is not None
    result = baselines(run, device="cpu")
    assert next(iter(result.baselines)) == first
    assert not result.skipped
    *_, equal = result.baselines.values()
    assert equal.parameters == pytest.approx(result.found.parameters, rel=0.5)


def test_wrong_words_are_told(forecaster: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lstm"):
        baselines(forecaster, only=["lstn"])
    with pytest.raises(InputError, match="does not exist"):
        baselines(tmp_path / "nothing")


def test_other_data_than_those_of_the_training_are_refused(forecaster: Path, tmp_path: Path) -> None:
    run = shutil.copytree(forecaster, tmp_path / "run")
    with pytest.raises(InputError, match="not those that the network was trained on"):
        baselines(run, data=[[float(i + j) for j in range(12)] for i in range(400)])
