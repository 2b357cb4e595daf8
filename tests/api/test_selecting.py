"""Searches that end with cells which the last epoch's choices alone do not give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import archgrad
from archgrad.errors import InputError

TINY: dict[str, Any] = {
    "supernet.cells": 1,
    "supernet.channels": 2,
    "space.nodes": 2,
    "data.limit": 60,
    "data.batch": 16,
}


@pytest.fixture(autouse=True)
def _few_batches_of_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 1)


def test_what_a_selection_wrote_is_what_derive_gives(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {**TINY, "derivation.cells": 3, "derivation.batches": 1, "derivation.statistics": 1}
    found = archgrad.search("random-shared", epochs=1, settings=settings, run=run, device="cpu")
    written = (run / "architecture.json").read_text()
    assert found.architecture.to_json() == written == archgrad.derive(run).to_json()
    again = archgrad.search(resume=True, run=run, device="cpu")
    assert again.architecture == found.architecture
    assert again.derived_validation == found.derived_validation
    assert archgrad.derive(run, rule="top-edges").made_by["rule"]["name"] == "top-edges"
    with pytest.raises(InputError, match=r"The rule darts-pt decides with the supernet's weights.*--rule top-edges"):
        archgrad.derive(run, rule="darts-pt")


def test_a_search_that_gets_sharp_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = iter([1.0] * 5 + [9.0] * 9)
    monkeypatch.setattr("archgrad.api.recorder.choice_curvature", lambda state: next(grown))
    run = tmp_path / "run"
    settings = {**TINY, "choices.rate": 0.3}
    found = archgrad.search("darts-es", epochs=12, settings=settings, run=run, device="cpu")
    assert [entry["eigenvalue"] for entry in found.history] == [1.0] * 5 + [9.0]
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    cells = [event["architecture"]["cells"] for event in events if event["event"] == "epoch"]
    assert found.architecture.to_dict()["cells"] == cells[0] != cells[5]
    assert found.architecture.made_by["epoch"] == 1
    assert archgrad.derive(run, epoch=1).to_dict()["cells"] == cells[0]
    assert "those of epoch 1 of 6" in found.warnings[-1]


def test_the_eigenvalue_is_in_the_log(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {**TINY, "early_stop": "eigenvalue", "space.nodes": 1, "supernet.evaluation": "reference"}
    archgrad.search("darts", epochs=1, settings=settings, run=run, device="cpu")
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    (epoch,) = [event for event in events if event["event"] == "epoch"]
    assert isinstance(epoch["monitor"]["eigenvalue"], float)
