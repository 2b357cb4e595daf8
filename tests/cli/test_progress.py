"""Progress: one line an epoch, or a bar on a terminal."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from archgrad.cli.progress import Bar, extent, figures

STEP = {"step": 3, "epoch": 1, "loss": 2.0, "choice_loss": None, "rate": 0.1}
EPOCH = {
    "epoch": 1,
    "loss": 1.5,
    "choice_loss": 1.25,
    "validation": {"loss": 1.0, "accuracy": 0.5},
    "derived_validation": {"loss": 1.0, "error": 0.125},
    "seconds": 2.0,
}


def search_state(step: int) -> Any:
    return SimpleNamespace(step=step, steps_per_epoch=5, parts=SimpleNamespace(epochs=4))


def training_state(step: int, epoch: int) -> Any:
    return SimpleNamespace(step=step, epoch=epoch, settings=SimpleNamespace(epochs=4))


def test_what_people_watch() -> None:
    assert figures(STEP) == {"loss": "2.000"}
    assert figures(EPOCH) == {
        "loss": "1.500",
        "choice loss": "1.250",
        "validation accuracy": "50.0 %",
        "derived error": "0.125",
    }
    assert figures({"loss": 1.0, "train_accuracy": 0.25, "validation": None}) == {
        "loss": "1.000",
        "training accuracy": "25.0 %",
    }


def test_a_training_knows_its_steps_after_an_epoch() -> None:
    assert extent(search_state(3)) == (4, 5)
    assert extent(training_state(3, 0)) == (4, None)
    assert extent(training_state(30, 2)) == (4, 15)


def test_without_a_terminal_it_is_one_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("search") as bar:
        bar("step", search_state(3), STEP)
        bar("epoch", search_state(5), EPOCH)
        bar("end", search_state(5), {})
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "search epoch 1/4: loss 1.500, choice loss 1.250, validation accuracy 50.0 %, derived error 0.125, 2.0 s\n"
    )


def test_on_a_terminal_it_is_a_bar_that_goes_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Bar("training") as bar:
        bar("step", training_state(3, 0), STEP)
        bar("epoch", training_state(15, 1), EPOCH)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "training epoch 1/4, step 15" in shown.err
    assert "validation accuracy 50.0 %" in shown.err


def test_other_processes_than_the_first_are_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with Bar("search") as bar:
        bar("epoch", search_state(5), EPOCH)
    assert capsys.readouterr().err == ""
