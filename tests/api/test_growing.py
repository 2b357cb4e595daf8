"""Searches that grow, from the command's words to a trained network."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.api.test_resume import SETTINGS, killed_after, log_of, steps_logged

import archgrad
from archgrad.runs.log import read

WORDS: dict[str, Any] = {"data": "digits", "epochs": 3, "seed": 3, "settings": SETTINGS | {"space.nodes": 2}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    archgrad.search("growing", run=run, **WORDS)
    return run


def test_the_log_tells_of_every_growth(whole: Path) -> None:
    events = [event for event in read(whole / "log.jsonl") if event.get("event") == "grown"]
    assert [(event["epoch"], event["what"], event["step"]) for event in events] == [(1, "grown", "node")]
    before, after = events[0]["before"], events[0]["after"]
    assert (before["cells"]["normal"]["nodes"], after["cells"]["normal"]["nodes"]) == (1, 2)
    assert after["parameters"] > before["parameters"]
    assert archgrad.Architecture.load(whole / "architecture.json").cells["normal"].nodes == 2


def test_killed_and_resumed_it_grows_the_same(whole: Path, tmp_path: Path) -> None:
    run, steps = tmp_path / "run", steps_logged(whole)
    after = random.Random(os.getpid()).randint(steps // 2 - 2, steps - 2)  # around the growth and behind it
    words = ", ".join(f"{name}={value!r}" for name, value in WORDS.items())
    code = f"import archgrad; archgrad.search('growing', run={str(run)!r}, {words})"
    killed_after(after, run, code, patience=240)
    archgrad.search(run=run, resume=True)
    assert (run / "architecture.json").read_bytes() == (whole / "architecture.json").read_bytes()
    assert log_of(run) == log_of(whole)


def test_a_grown_cell_is_derived_trained_and_exported_as_any_other(whole: Path) -> None:
    written = (whole / "architecture.json").read_text()
    assert archgrad.derive(whole).to_json() == written
    assert archgrad.derive(whole, epoch=1).cells["normal"].nodes == 1
    result = archgrad.train(whole, epochs=1, inherit=True, settings={"train.auxiliary": 0.0, "train.batch": 64})
    assert result.run is not None
    images = torch.rand(2, 1, 8, 8)
    assert archgrad.predict(whole, images) is not None


def test_what_cannot_grow_is_refused_with_the_reason() -> None:
    with pytest.raises(archgrad.InputError, match="one size"):
        archgrad.search("growing", space="nasbench201")
    with pytest.raises(archgrad.InputError, match="two operands"):
        archgrad.search("growing", settings=SETTINGS | {"growth.steps": ["hadamard"]})
