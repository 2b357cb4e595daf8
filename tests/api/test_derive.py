"""Deriving again: the same bytes as the search, other epochs and rules, and checkpoints that are not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import archgrad
from archgrad.runs import checkpoint

SETTINGS: dict[str, Any] = {
    "supernet.cells": 1,
    "supernet.channels": 2,
    "data.limit": 100,
    "data.batch": 16,
    "choices.rate": 0.3,  # so fast that the cells of two epochs differ
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("derive") / "run"
    archgrad.search("darts", data="digits", epochs=3, settings=SETTINGS, run=run)
    return run


def epochs_of(run: Path) -> list[Any]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [event["architecture"] for event in events if event["event"] == "epoch"]


def test_the_last_epoch_by_the_runs_own_rule_is_what_the_search_wrote(searched: Path) -> None:
    written = (searched / "architecture.json").read_text()
    assert archgrad.derive(searched).to_json() == written
    assert archgrad.derive(searched, rule="top-edges", epoch=3).to_json() == written


def test_every_epoch_gives_the_cells_that_its_log_line_holds(searched: Path) -> None:
    logged = epochs_of(searched)
    assert logged[0]["cells"] != logged[2]["cells"]
    for epoch in (1, 2, 3):
        derived = archgrad.derive(searched, epoch=epoch)
        assert derived.to_dict()["cells"] == logged[epoch - 1]["cells"]
        assert derived.made_by.get("epoch") == (None if epoch == 3 else epoch)


@pytest.mark.parametrize(
    "words",
    [
        {"rule": {"name": "top-edges", "k": 1}},
        {"settings": {"derivation.k": 1}},
        {"rule": "top-edges", "settings": {"derivation": {"k": 1}}},
    ],
)
def test_a_rule_takes_its_options(searched: Path, words: dict[str, Any]) -> None:
    cells = archgrad.derive(searched, **words).cells
    logits = _logits(searched)
    for kind, cell in cells.items():
        assert [edge.target for edge in cell.edges] == [2, 3, 4, 5]
        # among node 2's two edges (rows 0 and 1) and all candidates but "none": the largest softmax weight
        weights = torch.softmax(logits[kind][:2].double(), dim=1)[:, 1:]
        best = int(weights.argmax())
        operations = archgrad.space.get("darts").cells[kind].operations[1:]
        assert (cell.edges[0].source, cell.edges[0].operation) == (best // 7, operations[best % 7])
    assert archgrad.derive(searched, **words).made_by["rule"] == {"name": "top-edges", "k": 1}


def _logits(run: Path) -> dict[str, torch.Tensor]:
    light: Any = checkpoint.load_light(run / "checkpoints" / "epoch-0003")
    return {kind: light["choices"][f"tables.{kind}.logits"] for kind in ("normal", "reduce")}


def test_nothing_is_written(searched: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in searched.rglob("*")}
    archgrad.derive(searched, epoch=1, settings={"derivation.k": 1})
    assert {path: path.stat().st_mtime_ns for path in searched.rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"epoch": 4}, r"no checkpoint of epoch 4. There are: 1 to 3\."),
        ({"epoch": 0}, "There are: 1 to 3"),
        ({"rule": "top-edge"}, "Did you mean 'top-edges'"),
        ({"rule": {"name": "top-edges", "j": 1}}, r"derivation\.j: there is no such option"),
        ({"settings": {"derivation.k": 0}}, "at least 1"),
        ({"settings": {"relaxation": "softmax"}}, "derivation alone, not relaxation"),
    ],
)
def test_wrong_words_are_said(searched: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(archgrad.InputError, match=message):
        archgrad.derive(searched, **words)


def test_a_damaged_checkpoint_is_named_with_the_ones_that_there_are(searched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    light = run / "checkpoints" / "epoch-0003" / "choices.safetensors"
    light.write_bytes(light.read_bytes()[:40])
    with pytest.raises(archgrad.InputError, match=r"epoch-0003 is damaged.*another epoch with --epoch: 1 to 2\."):
        archgrad.derive(run)
    assert archgrad.derive(run, epoch=2).made_by["epoch"] == 2


def test_the_heavy_part_is_not_needed(searched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    for heavy in run.glob("checkpoints/*/state.safetensors"):
        heavy.unlink()
    assert archgrad.derive(run).to_json() == (searched / "architecture.json").read_text()


def test_a_run_without_any_checkpoint_says_how_to_go_on(searched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run, ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(archgrad.InputError, match="--resume"):
        archgrad.derive(run)


def test_a_search_that_did_not_end_says_which_epoch_it_was(searched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    lines = (run / "log.jsonl").read_text().splitlines(keepends=True)
    (run / "log.jsonl").write_text("".join(line for line in lines if '"event":"end"' not in line))
    assert archgrad.derive(run).made_by["epoch"] == 3


def test_a_config_that_was_changed_after_the_search_is_said(searched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("nodes: 4", "nodes: 3"))
    with pytest.raises(archgrad.InputError, match="does not fit"):
        archgrad.derive(run)
