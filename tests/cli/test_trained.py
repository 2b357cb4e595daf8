"""``train``, ``evaluate``, ``predict``, ``export`` and ``report`` of one tiny network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Program

import archgrad

Trained = tuple[Path, dict[str, Any]]


def test_training_says_what_it_made(trained: Trained) -> None:
    run, result = trained
    assert (result["run"], result["epochs"], result["cells"], result["channels"]) == (str(run), 1, 1, 2)
    assert 0 <= result["metrics"]["accuracy"] <= 1
    cell = archgrad.Architecture.load(run / "architecture.json")
    assert result["parameters"] == archgrad.count_parameters(cell, cells=1, channels=2, in_channels=1, classes=10)
    assert (run / "model.safetensors").is_file()


def test_a_trained_network_is_not_overwritten(trained: Trained, program: Program) -> None:
    before = (trained[0] / "model.safetensors").read_bytes()
    done = program("train", trained[0], "--epochs", 1)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "name another --run" in done.stderr
    assert (trained[0] / "model.safetensors").read_bytes() == before


def test_an_architecture_is_trained_in_a_directory_of_its_own(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = ("--cells", 1, "--channels", 2, "--set", "data.limit=100", "--set", "train.batch=32")
    done = program("train", "SNAS_AGGRESSIVE", "--epochs", 1, *sizes)
    assert done.exit_code == 0, done.stderr
    assert "Written to runs/SNAS_AGGRESSIVE-digits-s0" in done.stdout
    for words in ("test", "accuracy", "parameters", "seconds"):
        assert words in done.stdout
    assert done.stderr.startswith("training epoch 1/1: loss ")
    assert (tmp_path / "runs" / "SNAS_AGGRESSIVE-digits-s0" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", 0), "train.epochs must be a whole number of at least 1; got 0"),
        (("--cells", 0), "train.cells must be"),
        (("--set", "train.rat=1"), "Did you mean train.rate?"),
        (("--set", "relaxation=softmax"), "not a setting of the training"),
        (("--device", "gpu"), "no device 'gpu'"),
    ],
)
def test_wrong_words_are_said(program: Program, run: Path, words: tuple[object, ...], message: str) -> None:
    done = program("train", run, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (run / "model.safetensors").exists()


def test_evaluation_repeats_what_training_measured(trained: Trained, program: Program) -> None:
    run, result = trained
    shown = json.loads(program("evaluate", run, "--json").stdout)
    assert shown["metrics"] == pytest.approx(result["metrics"])
    assert "accuracy" in program("evaluate", run).stdout


@pytest.mark.parametrize("verb", [["evaluate"], ["export", "--to", "onnx"], ["predict"]])
def test_without_a_trained_network_it_is_said_how_to_get_one(program: Program, run: Path, verb: list[str]) -> None:
    done = program(*verb, run, *(["image.png"] if verb == ["predict"] else []))
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"archgrad train {run}" in done.stderr


def test_predictions_of_arrays_and_files_are_the_same(trained: Trained, program: Program, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    for number, image in enumerate(images):
        Image.fromarray(image[0]).save(tmp_path / f"{number}.png")
    arrays = json.loads(program("predict", trained[0], tmp_path / "images.npy", "--json").stdout)["predictions"]
    files = (tmp_path / f"{number}.png" for number in range(3))
    single = json.loads(program("predict", trained[0], *files, "--json").stdout)["predictions"]
    assert len(arrays) == len(single) == 3
    for one, other in zip(arrays, single, strict=True):
        assert (one["class"], one["probability"]) == (other["class"], pytest.approx(other["probability"]))
        assert sum(one["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    assert str(arrays[0]["class"]) in program("predict", trained[0], tmp_path / "0.png").stdout
    Image.new("RGB", (9, 9)).save(tmp_path / "wrong.png")
    done = program("predict", trained[0], tmp_path / "wrong.png")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "9x9" in done.stderr and "8x8" in done.stderr


def test_an_export_is_written_where_it_is_wanted(trained: Trained, program: Program, tmp_path: Path) -> None:
    done = program("export", trained[0], "--to", "python", "--out", tmp_path / "digits.py", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["max_difference"] < 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {"digits.py", "digits.safetensors"}
    wrong = program("export", trained[0], "--to", "onx")
    assert (wrong.exit_code, "Did you mean 'onnx'" in wrong.stderr) == (2, True)


def test_a_report_says_where_it_is(trained: Trained, program: Program, tmp_path: Path) -> None:
    assert program("report", trained[0]).stdout == f"{trained[0] / 'report.html'}\n"
    done = program("report", trained[0], "--out", tmp_path / "page.html", "--json")
    assert json.loads(done.stdout)["path"] == str(tmp_path / "page.html")


def test_show_draws_a_run_with_the_sizes_of_its_network(trained: Trained, program: Program) -> None:
    shown = json.loads(program("show", trained[0], "--json").stdout)
    assert shown["parameters"] == trained[1]["parameters"]
    assert shown["flops"] == trained[1]["flops"]
    text = program("show", trained[0]).stdout
    assert "normal cell" in text and "cells 1, channels 2" in text and f"{shown['flops']:,}" in text


def test_show_draws_published_cells(program: Program) -> None:
    done = program("show", "DARTS_V2", "--cells", 3, "--channels", 4, "--input-shape", "1x8x8", "--classes", 4)
    assert done.exit_code == 0, done.stderr
    assert "1x8x8, 4 classes" in done.stdout
    assert "22,960,000" in program("show", "DARTS_RNN_V1").stdout


def test_baselines_stand_beside_the_trained_network(trained: Trained, program: Program, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    done = program("baselines", run, "--only", "logistic-regression")
    assert done.exit_code == 0, done.stderr
    for words in ("found network", "logistic regression", "accuracy", "parameters"):
        assert words in done.stdout
    document = json.loads(program("baselines", run, "--only", "logistic-regression", "--json").stdout)
    assert document["found"]["metrics"] == trained[1]["metrics"]
    assert document["baselines"]["logistic-regression"]["metrics"]["accuracy"] > 0.3
    wrong = program("baselines", run, "--only", "logistic-regresion")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "logistic-regression" in wrong.stderr
