"""``compare``: every figure of every run from its folder, done once, and refused where the folder holds another run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import archgrad
from archgrad.api.compare import CompareResult, summarise
from archgrad.errors import InputError

TINY = {
    "supernet.cells": 1,
    "supernet.channels": 2,
    "space.nodes": 2,
    "data.limit": 96,
    "data.limit_test": 40,
    "data.batch": 24,
    "train.epochs": 1,
    "train.cells": 2,
    "train.channels": 3,
    "train.batch": 24,
}
ARMS: dict[str, Any] = {"plain": "darts", "clipped": ("darts", {"relaxation": "clipped"})}
WORDS: dict[str, Any] = {"seeds": [3], "epochs": 2, "settings": TINY, "device": "cpu", "children": 2}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> CompareResult:
    return archgrad.compare(ARMS, **WORDS, run=tmp_path_factory.mktemp("compare") / "runs", retrain=False)


def test_every_figure_that_needs_no_training(compared: CompareResult) -> None:
    assert [(row["arm"], row["recipe"], row["seed"]) for row in compared.runs] == [
        ("plain", "darts", 3),
        ("clipped", "darts", 3),
    ]
    for row, folder in zip(compared.runs, ("plain-s3", "clipped-s3"), strict=True):
        cell = archgrad.Architecture.load(compared.path / folder / "architecture.json")
        sizes: dict[str, Any] = {"cells": 2, "channels": 3, "in_channels": 1, "classes": 10}
        network = archgrad.build(cell, **sizes)
        assert row["parameters"] == archgrad.count_parameters(cell, **sizes)
        assert row["flops"] == archgrad.count_flops(network, (1, 8, 8))
        events = [json.loads(line) for line in (compared.path / folder / "log.jsonl").read_text().splitlines()]
        last = [event for event in events if event["event"] == "epoch"][-1]
        assert row["choice_steps"] == last["monitor"]["choice_steps"]["taken"] == 2
        assert row["stable_since"] in (1, 2)
        assert row["gap"] == pytest.approx(row["supernet"] - row["child"])
        assert row["search_seconds"] > 0 and row["peak_memory_mb"] > 10
        assert "test" not in row


def test_what_a_comparison_leaves_behind(compared: CompareResult) -> None:
    assert json.loads((compared.path / "compare.json").read_text()) == {"runs": compared.runs, "table": compared.table}
    with (compared.path / "anytime.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert [(point["arm"], point["epoch"]) for point in points] == [(arm, epoch) for arm in ARMS for epoch in "12"]
    for row, (first, last) in zip(compared.runs, (points[:2], points[2:]), strict=True):
        assert float(last["value"]) == row["derived_validation"]
        assert float(last["seconds"]) == pytest.approx(row["search_seconds"], rel=0.05)
        assert int(last["images"]) == 2 * int(first["images"]) == 2 * 2 * 24  # a batch for weights, one for choices
    page = (compared.path / "compare.html").read_text()
    assert all(arm in page for arm in ARMS)


def test_what_is_done_is_not_done_again_and_what_is_missing_is(compared: CompareResult) -> None:
    before = {path: path.stat().st_mtime_ns for path in compared.path.glob("*/log.jsonl")}
    again = archgrad.compare(ARMS, **WORDS, run=compared.path, retrain=False)
    assert again.runs == compared.runs
    assert {path: path.stat().st_mtime_ns for path in before} == before
    more = archgrad.compare({"plain": "darts"}, **{**WORDS, "children": 0}, run=compared.path)
    assert 0 <= more.runs[0]["test"] <= 1 and "child" not in more.runs[0]
    assert more.runs[0]["derived_validation"] == compared.runs[0]["derived_validation"]
    with (compared.path / "runs.csv").open(newline="") as file:
        assert [row["arm"] for row in csv.DictReader(file)] == ["plain"]


def test_a_folder_with_other_runs_is_refused(compared: CompareResult) -> None:
    with pytest.raises(InputError, match=r"plain-s3: epochs is 2 there, not 5\."):
        archgrad.compare(ARMS, **{**WORDS, "epochs": 5}, run=compared.path, retrain=False)
    with pytest.raises(InputError, match=r"clipped-s3: relaxation.name is 'clipped' there"):
        archgrad.compare({"clipped": "darts"}, **WORDS, run=compared.path, retrain=False)


def test_a_run_that_fails_is_a_row_and_not_the_end(compared: CompareResult, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {**WORDS, "run": compared.path, "retrain": False}

    def fail(*_: Any, **__: Any) -> None:
        raise archgrad.RunError("The disk is full.")

    monkeypatch.setattr("archgrad.api.compare_run.search", fail)
    found = archgrad.compare({"broken": "darts", **ARMS}, **words)
    assert found.runs[0] == {"arm": "broken", "recipe": "darts", "seed": 3, "error": "The disk is full."}
    assert found.runs[1:] == compared.runs
    assert found.table[0] == {"arm": "broken", "recipe": "darts"}
    with pytest.raises(archgrad.RunError, match=r"Every run failed.*disk is full"):
        archgrad.compare({"broken": "darts"}, **words)


def test_the_best_run_is_the_best_by_its_own_measure() -> None:
    rows = [
        {"arm": "a", "recipe": "a", "seed": seed, "metric": metric, "validation": value, "parameters": value}
        for metric, seed, value in [("accuracy", 0, 1.0), ("accuracy", 1, 3.0)]
    ]
    found = summarise(rows)[0]["validation"]
    assert (found["mean"], found["spread"], found["best"], found["runs"]) == (2.0, 2**0.5, 3.0, 2)
    assert summarise(rows)[0]["parameters"]["best"] == 1.0
    assert summarise([{**row, "metric": "mse"} for row in rows])[0]["validation"]["best"] == 1.0


@pytest.mark.parametrize("seeds", [0, [], [-1]])
def test_some_seed_is_needed(seeds: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one seed"):
        archgrad.compare(["darts"], seeds=seeds, run=tmp_path)


def test_baselines_are_rows_beside_the_arms(tmp_path: Path) -> None:
    settings = {"supernet.hidden": 4, "space.nodes": 2, "data.window": 4, "data.horizon": 2, "data.batch": 16}
    settings |= {"train.hidden": 4, "train.epochs": 1}
    words: dict[str, Any] = {"data": "macro", "seeds": [0], "epochs": 1, "settings": settings, "run": tmp_path / "runs"}
    found = archgrad.compare(["random"], baselines=True, **words)
    names = [row["arm"] for row in found.runs]
    assert names == ["random", "last value", "seasonal naive (4)", "VAR(1)", "linear (DLinear)", "LSTM", "GRU"]
    kept = json.loads((found.path / "random-s0" / "baselines.json").read_text())
    assert kept["complete"]
    assert [row["test"] for row in found.runs[1:]] == [row["metrics"]["mse"] for row in kept["baselines"].values()]
    assert [entry["arm"] for entry in found.table] == names
    before = (found.path / "random-s0" / "baselines.json").stat().st_mtime_ns
    assert archgrad.compare(["random"], baselines=True, **words).runs == found.runs
    assert (found.path / "random-s0" / "baselines.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="leave --baselines out"):
        archgrad.compare(["random"], baselines=True, retrain=False, **words)
