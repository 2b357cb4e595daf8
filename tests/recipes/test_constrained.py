"""The recipes of constrained optimisation, searched in earnest on a few digits: what must hold does, resumed or not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import archgrad
from archgrad.cli.app import app
from archgrad.runs import checkpoint

RECIPES = ("constrained", "constrained-admm", "darts-prime")
SMALL: dict[str, Any] = {
    "supernet.cells": 3,
    "supernet.channels": 2,
    "space.nodes": 2,
    "space.operations": ["none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"],
    "data.limit": 150,
    "data.limit_test": 20,
    "data.batch": 16,
    "log_every": 1,
}
# a threshold above the first gradients, few skipped steps and a high rate: candidates die within three epochs
LIVELY = {**SMALL, "choices.rate": 0.2, "schedule.start": 20.0, "schedule.ratio": 1.0}
TIMES = {"seconds", "peak_memory_mb", "search_seconds", "run"}


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return value


def log_of(run: Path, event: str | None = None) -> list[Any]:
    events = [without_times(json.loads(line)) for line in (run / "log.jsonl").read_text().splitlines()]
    return [found for found in events if event in (None, found["event"])]


def dead_in(run: Path, name: str) -> dict[str, set[tuple[int, int]]]:
    """Return which candidates a checkpoint calls dead, by cell kind."""
    tree: Any = checkpoint.load_light(run / "checkpoints" / name)
    tables = {key: value for key, value in tree["choices"].items() if key.endswith("alive")}
    return {
        key: {(r, c) for r, row in enumerate(table.tolist()) for c, e in enumerate(row) if not e}
        for key, table in tables.items()
    }


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Estimate the derived cell's statistics on fewer batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
        yield


@pytest.fixture(scope="module", params=RECIPES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, quick: None) -> Path:
    """Return the directory of a search that was never interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    archgrad.search(request.param, data="digits", epochs=3, seed=1, settings=LIVELY, run=run)
    return Path(run)


def test_a_resumed_search_ends_as_the_whole_one(whole: Path, tmp_path: Path) -> None:
    recipe, run = log_of(whole, "start")[0]["recipe"], tmp_path / "run"

    def interrupt(kind: str, state: Any, record: Any) -> None:
        if kind == "step" and state.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archgrad.search(recipe, data="digits", epochs=3, seed=1, settings=LIVELY, run=run, progress=interrupt)
    archgrad.search(run=run, resume=True)
    assert (run / "architecture.json").read_bytes() == (whole / "architecture.json").read_bytes()
    assert log_of(run) == log_of(whole)
    if recipe == "darts-prime":
        return
    before, after = dead_in(run, "epoch-0001"), dead_in(run, "epoch-0003")
    assert any(before.values()), "nobody died, so the test shows nothing"
    for kind, dead in before.items():
        assert dead <= after[kind]


def test_the_weights_that_were_logged_are_a_history_of_clipped_weights(whole: Path) -> None:
    recipe, epochs = log_of(whole, "start")[0]["recipe"], log_of(whole, "epoch")
    for kind in ("normal", "reduce"):
        tables = torch.tensor([epoch["weights"][kind] for epoch in epochs])
        assert bool(((tables >= 0) & (tables <= 1)).all())
        counts = [epoch["monitor"]["living"][kind] for epoch in epochs]
        if recipe == "darts-prime":
            assert counts == [5 * 4] * 3
            continue
        assert counts == (tables > 0).sum(dim=(1, 2)).tolist()
        assert counts[0] >= counts[-1]
        for earlier, later in zip(tables, tables[1:], strict=False):
            assert not bool(later[earlier == 0].any())


def test_the_balance_of_the_schedule_is_exact_in_a_search(whole: Path) -> None:
    steps = log_of(whole, "step")
    schedule = [step["schedule"] for step in steps]
    taken = sum(step["choice_loss"] is not None for step in steps)
    assert (schedule[-1]["taken"], schedule[-1]["skipped"]) == (taken, len(steps) - taken)
    assert log_of(whole, "epoch")[-1]["monitor"]["choice_steps"] == {"taken": taken, "skipped": len(steps) - taken}
    balance = schedule[-1]["skipped"] - 1.0 * taken
    assert balance == pytest.approx(math.log(schedule[-1]["threshold"] / 20) / math.log(1.05), rel=1e-9, abs=1e-9)
    average = 0.0
    for told in schedule:
        average = 0.2 * told["gradient_square"] + 0.8 * average
        assert told["average"] == pytest.approx(average)


def test_the_derived_network_is_normed_as_the_supernet_was(whole: Path) -> None:
    recipe = log_of(whole, "start")[0]["recipe"]
    cell = archgrad.Architecture.load(whole / "architecture.json")
    assert cell.network["node_norm"] is (recipe != "darts-prime")
    assert not any(edge.operation == "none" for kind in cell.cells.values() for edge in kind.edges)
    network = archgrad.build(cell, cells=3, channels=2, in_channels=1, classes=10)
    assert network(torch.rand(4, 1, 8, 8)).shape == (4, 10)


def test_penalties_are_logged_with_what_they_tell(whole: Path) -> None:
    recipe = log_of(whole, "start")[0]["recipe"]
    told = [step["penalties"] for step in log_of(whole, "step") if step["choice_loss"] is not None]
    if recipe == "constrained-admm":
        assert all(penalties["admm"]["primal_residual"] >= 0 for penalties in told)
    else:
        assert told[0]["proximity"]["value"] == 0.0  # at the very start
        assert all(penalties["proximity"]["value"] > 0 for penalties in told[1:])


def test_it_runs_from_the_command_line(tmp_path: Path) -> None:
    words = ["search", "constrained", "--data", "digits", "--epochs", "1", "--run", str(tmp_path / "run"), "--json"]
    words += ["--set", "supernet.cells=3", "--set", "supernet.channels=2", "--set", "data.limit=60"]
    done = CliRunner().invoke(app, [*words, "--set", "space.nodes=1"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["recipe"] == "constrained"


def test_a_collapse_ends_the_search_for_good_where_that_is_asked(tmp_path: Path) -> None:
    settings = {**LIVELY, "space.operations": ["skip_connect", "max_pool_3x3"], "early_stop": "collapse"}
    result = archgrad.search("constrained", data="digits", epochs=3, settings=settings, run=tmp_path / "run")
    assert result.state.epoch == 1
    assert result.warnings
    assert "collapsing" in result.warnings[0]
    before = log_of(tmp_path / "run")
    again = archgrad.search(run=tmp_path / "run", resume=True)
    assert again.state.epoch == 1
    assert again.architecture == result.architecture
    assert log_of(tmp_path / "run") == before
    goes_on = archgrad.search("constrained", data="digits", epochs=2, settings={**settings, "early_stop": "none"})
    assert goes_on.state.epoch == 2
