"""Which epoch's cell to take: the best on held-out data, of those that can still be derived, with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import archgrad
from archgrad.api.derive_best import Best, best_epoch
from archgrad.errors import InputError


def rewritten(run: Path, scores: list[float | str], metric: str = "accuracy") -> Path:
    """Write a log in which every epoch of a finished one-epoch run has another score, with a checkpoint for each."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    (pattern,) = [event for event in lines if event["event"] == "epoch" and event["phase"] == "search"]
    first = run / "checkpoints" / "epoch-0001"
    events = [event for event in lines if event is not pattern and event["event"] != "end"]
    for epoch, score in enumerate(scores, start=1):
        events.append({**pattern, "epoch": epoch, "derived_validation": {"loss": 9.0 - epoch, metric: score}})
        if epoch > 1:
            shutil.copytree(first, first.with_name(f"epoch-{epoch:04}"))
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def test_the_best_is_the_highest_accuracy_and_of_equal_ones_the_latest(searched: Path) -> None:
    run = rewritten(searched, [0.5, 0.9, 0.9, "NaN", 0.7])
    best = best_epoch(run)
    assert best == Best(3, "accuracy", 0.9, 5, 0.7, 4, 1)
    assert "Epoch 3: its cell has the highest validation accuracy, 0.9" in best.why
    assert "of epoch 5, has 0.7" in best.why and "4 epochs derived 1 different cell." in best.why
    assert archgrad.derive(run, best=True).made_by["epoch"] == 3


def test_of_errors_the_lowest_is_the_best_and_only_what_can_be_derived_counts(searched: Path) -> None:
    run = rewritten(searched, [0.2, 0.1, 0.3], metric="mse")
    assert best_epoch(run).epoch == 2
    shutil.rmtree(run / "checkpoints" / "epoch-0002")
    best = best_epoch(run)
    assert (best.epoch, best.epochs) == (1, 2) and "lowest validation mse" in best.why


def test_what_has_no_score_has_no_best(searched: Path) -> None:
    with pytest.raises(InputError, match="leave rule and epoch out"):
        archgrad.derive(searched, best=True, epoch=1)
    with pytest.raises(InputError, match="no epoch yet whose derived cell was judged"):
        best_epoch(rewritten(searched, ["NaN"]))
