"""``archgrad compare``: its table in every form; the runs themselves are those of search and train."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Program

from archgrad.api.compare import CompareResult


def figure(mean: float, spread: float | None, best: float, runs: int) -> dict[str, Any]:
    return {"mean": mean, "spread": spread, "best": best, "runs": runs}


RESULT = CompareResult(
    Path("runs/compare"),
    [{"arm": "darts", "recipe": "darts", "seed": 0, "metric": "accuracy", "test": 0.97}],
    [
        {
            "arm": "darts",
            "recipe": "darts",
            "validation": figure(0.9612, 0.0123, 0.97, 2),
            "test": figure(0.97, 0.004, 0.974, 2) | {"low": 0.966, "high": 0.974, "rank": 1.0, "p": None},
            "parameters": figure(123456.5, 1000.0, 130000, 2),
            "search_seconds": figure(93.4, 1.5, 95.0, 2),
            "train_seconds": figure(193.4, 11.5, 205.0, 2),
        },
        {"arm": "random", "recipe": "random", "test": figure(0.95, None, 0.95, 1)},
    ],
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command hands to the function, which does nothing but report one run."""
    words: dict[str, Any] = {}

    def compare(recipes: list[str], *, on_run: Callable[[Any], None], **rest: Any) -> CompareResult:
        words.update(recipes=recipes, **rest)
        on_run(RESULT.runs[0])
        return RESULT

    monkeypatch.setattr("archgrad.api.compare.compare", compare)
    return words


def test_means_and_spreads_in_one_table(program: Program, given: dict[str, Any]) -> None:
    done = program("compare", "darts", "random", "--seeds", 2, "--epochs", 3, "--set", "train.epochs=4")
    assert done.exit_code == 0, done.stderr
    assert given["recipes"] == ["darts", "random"]
    assert (given["seeds"], given["epochs"], given["data"]) == (2, 3, "digits")
    assert given["settings"] == {"train": {"epochs": 4}}
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["recipe", "runs", "validation", "test", "parameters", *"search, s training, s".split()]
    assert "0.9612 ± 0.012" in lines[2] and "123,456 ± 1e+03" in lines[2]
    assert lines[3].split() == ["random", "1", "-", "0.95", "-", "-", "-"]
    assert "darts, seed 0: test accuracy 0.97" in done.stderr


def test_json_is_everything(program: Program, given: dict[str, Any]) -> None:
    assert json.loads(program("compare", "darts", "random", "--json").stdout) == RESULT.to_dict()


def test_the_table_as_a_file(program: Program, given: dict[str, Any], tmp_path: Path) -> None:
    for suffix in (".csv", ".md", ".json"):
        assert program("compare", "darts", "--output", tmp_path / f"table{suffix}").exit_code == 0
    assert json.loads((tmp_path / "table.json").read_text()) == RESULT.table
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["recipe"] for row in rows] == ["darts", "random"]
    assert float(rows[0]["validation_mean"]) == 0.9612 and rows[1]["validation_mean"] == ""
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0] == "| recipe | runs | validation | test | parameters | search, s | training, s |"
    assert {line.count("|") for line in lines[:4]} == {8}
    assert lines[5] == "| test | mean | 95 % interval | rank | p | p, Holm |"
    assert lines[7] == "| darts | 0.97 | 0.966 to 0.974 | 1 | - | - |"


def test_which_seeds_and_how_many_workers(program: Program, given: dict[str, Any]) -> None:
    assert program("compare", "darts", "--seeds", "4-6,9", "--workers", 2).exit_code == 0
    assert (given["seeds"], given["workers"]) == ([4, 5, 6, 9], 2)
    done = program("compare", "darts", "--seeds", "4-")
    assert done.exit_code == 2 and "such as 4-7 or 1,3,5" in done.stderr


def test_failed_runs_are_named_after_the_table_of_the_others(
    program: Program, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = {"arm": "random", "recipe": "random", "seed": 1, "error": "Its process was ended by SIGKILL."}
    monkeypatch.setattr(
        "tests.cli.test_compare.RESULT", CompareResult(RESULT.path, [*RESULT.runs, failed], RESULT.table)
    )
    done = program("compare", "darts", "random")
    assert done.exit_code == 1
    assert "0.9612 ± 0.012" in done.stdout
    assert "1 of 2 runs failed" in done.stderr and "random, seed 1: Its process was ended by SIGKILL." in done.stderr
