"""Trackers get what the log says, once, and can neither change a run nor end it."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import accelerate.tracking
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import archgrad
from archgrad.api import tracking
from archgrad.api.search import SearchResult
from archgrad.engine.state import SearchState
from archgrad.runs.directory import RunDirectory

from .conftest import TINY

SMALL = {"supernet.cells": 1, "supernet.channels": 2, "space.nodes": 2, "data.limit": 48, "data.batch": 8}
Curves = dict[str, list[tuple[int, float]]]


class Fake(accelerate.tracking.GeneralTracker):  # type: ignore[misc]  # accelerate ships no types
    """Remembers what it is told, and fails where it is told to."""

    name, requires_logging_directory = "fake", False
    fails: ClassVar[str | None] = None
    all: ClassVar[list[Fake]] = []

    def __init__(self, project: str, **words: Any) -> None:
        super().__init__()
        self.project, self.words, self.id = project, words, words.get("id") or "from the service"
        self.told: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = False
        self.all.append(self)

    @property
    def tracker(self) -> Fake:
        return self

    def start(self) -> None:
        self._fail("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.told = values

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        if len(self.logged) == 1:
            self._fail("log")
        assert step is not None
        self.logged.append((step, values))

    def finish(self) -> None:
        self._fail("finish")
        self.finished = True

    def _fail(self, where: str) -> None:
        if self.fails == where:
            raise ConnectionError("the network is away.\nmore about it")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    """Put the fake in place of accelerate's tracker for wandb, which is not installed."""
    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", Fake)
    monkeypatch.setattr(tracking, "find_spec", lambda name: SimpleNamespace(origin=f"{name}.py"))
    monkeypatch.setattr(Fake, "all", [])
    return Fake


def lines(run: Path, phase: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [event for event in events if event.get("phase") == phase and event["event"] != "start"]


def of_the_log(run: Path, phase: str) -> Curves:
    """The numbers of a log by name, flattened by pandas; an epoch belongs to the last step before it."""
    curves, step = defaultdict(list), 0
    for event in lines(run, phase):
        step = event.get("step", step) + (event["event"] == "end")
        plain = {key: value for key, value in event.items() if key not in ("architecture", "step")}
        for key, value in pd.json_normalize(plain, sep="/").iloc[0].items():
            if isinstance(value, (int, float, np.number)):
                curves[f"{phase}/{event['event']}/{key}"].append((step, float(np.float32(value))))
    return dict(curves)


def of_tensorboard(run: Path, phase: str) -> Curves:
    read = EventAccumulator(str(run / "tracking" / "tensorboard" / phase))
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_shows_the_log_after_a_crash_as_well(tmp_path: Path) -> None:
    def crash(kind: str, state: SearchState, record: dict[str, Any]) -> None:
        if state.step == 4:
            raise ZeroDivisionError

    run = tmp_path / "run"
    words: dict[str, Any] = {"data": "digits", "epochs": 2, "settings": SMALL | {"log_every": 1}, "run": run}
    with pytest.raises(ZeroDivisionError):
        archgrad.search("darts", **words, track="tensorboard", progress=crash)
    before = of_tensorboard(run, "search")
    assert [step for step, _ in before["search/step/loss"]] == [1, 2, 3]  # the third is in no checkpoint
    searched = archgrad.search(run=run, resume=True, track=("tensorboard",))
    shown = of_tensorboard(run, "search")
    assert shown == of_the_log(run, "search")
    assert len(shown["search/step/choice_loss"]) == 4 and len(shown["search/epoch/monitor/entropy/normal"]) == 2
    assert shown["search/end/derived_validation/loss"] == [(5, searched.derived_validation["loss"])]
    sizes: dict[str, Any] = {"epochs": 1, "cells": 1, "channels": 2, "settings": {"train.batch": 24}}
    trained = archgrad.train(run, **sizes, track="tensorboard", device="cpu")
    assert of_tensorboard(run, "train") == of_the_log(run, "train")
    assert of_tensorboard(run, "train")["train/end/test/loss"][0][1] == pytest.approx(trained.metrics["loss"])
    assert of_tensorboard(run, "search") == shown
    told = list((run / "tracking" / "tensorboard" / "search").glob("*/hparams.yml"))
    assert len(told) == 1 and "supernet.channels: 2\n" in told[0].read_text()  # told once, not again on resume


def warnings_of(run: Path) -> list[str]:
    with (run / "log.jsonl").open() as log:
        return [event["message"] for event in map(json.loads, log) if event["event"] == "warning"]


def test_a_tracker_that_fails_leaves_the_run_as_it_is(
    fake: type[Fake], search_result: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "fails", "log")
    run = tmp_path / "run"
    result = archgrad.search("random", data="digits", run=run, settings=TINY, device="cpu", track="wandb")
    assert result.architecture == search_result.architecture
    assert result.validation == search_result.validation and not result.warnings
    assert search_result.run is not None
    assert (run / "config.yaml").read_text() == (search_result.run / "config.yaml").read_text()
    assert len(warnings_of(run)) == 1


@pytest.mark.parametrize(
    ("where", "logged", "what"),
    [
        ("start", [], "could not be started"),
        ("log", [1], "failed at step 2"),
        ("finish", [1, 2, 4], "could not write its last figures"),
    ],
)
def test_the_failure_is_said_once_and_the_other_trackers_go_on(
    where: str,
    logged: list[int],
    what: str,
    fake: type[Fake],
    search_result: SearchResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = type("Other", (Fake,), {"fails": None})
    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", other)
    monkeypatch.setattr(fake, "fails", where)
    run = RunDirectory(tmp_path)
    both, log = tracking.Tracking(("wandb", "tensorboard"), "search", run), run.open_log()
    both.start(0, search_result.config, log)
    for step, kind in ((1, "step"), (2, "epoch"), (3, "end")):
        both.forward({"event": kind, "phase": "search", "loss": 0.5}, step)
    both.close()
    log.close()
    assert [step for step, _ in fake.all[0].logged] == logged
    assert [step for step, _ in fake.all[1].logged] == [1, 2, 4] and fake.all[1].finished
    message = f"wandb {what} (the network is away); the search goes on without it. Every figure is in log.jsonl."
    assert caplog.messages == [message]
    assert warnings_of(tmp_path) == [message]


@pytest.mark.parametrize("damage", [False, True])
def test_a_resumed_run_goes_on_under_the_name_it_has(
    damage: bool, fake: type[Fake], search_result: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "cells")
    for phase in ("search", "search", "train"):
        tracking.Tracking(("wandb",), phase, RunDirectory(tmp_path)).start(3, search_result.config, None)
        if damage:
            (tmp_path / "tracking" / "known.json").write_text("[")
    assert [one.words["id"] for one in fake.all] == [None, None if damage else "from the service", None]
    assert [bool(one.told) for one in fake.all] == [True, damage, True]
    assert {one.project for one in fake.all} == {"cells"}
    assert fake.all[2].words["name"] == f"{tmp_path.name}/train"
    assert fake.all[0].words["dir"] == str(tmp_path / "tracking")


def test_without_a_run_directory_the_figures_are_the_same(fake: type[Fake], search_result: SearchResult) -> None:
    archgrad.search("random", data="digits", settings=TINY, device="cpu", track="wandb")
    assert search_result.run is not None
    expected, shown = of_the_log(search_result.run, "search"), defaultdict(list)
    for _, values in fake.all[0].logged:
        for name, value in values.items():
            shown[name].append(float(np.float32(value)))
    assert fake.all[0].finished and shown.keys() == expected.keys()
    for name, curve in expected.items():
        if not name.endswith(("seconds", "peak_memory_mb")):
            assert shown[name] == [value for _, value in curve], name


def test_nothing_is_imported_that_was_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("accelerate.tracking", "torch.utils.tensorboard", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    idle = tracking.Tracking()
    idle.start(0, archgrad.search("random", data="digits", settings=TINY, device="cpu").config, None)
    idle.forward({"event": "step", "phase": "search", "loss": 1.0}, 1)
    idle.close()


@pytest.mark.parametrize(
    ("track", "words"),
    [
        ("tensorbord", ["Unknown tracker 'tensorbord'", "Did you mean 'tensorboard'", "mlflow, tensorboard, wandb"]),
        (["mlflow"], ["mlflow", "pip install 'archgrad[track]'"]),
        (["tensorboard", "wandb"], ["wandb", "pip install 'archgrad[track]'"]),  # a folder of that name is no package
        ("tensorboard", ["run='DIR'"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    track: str | list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"tensorboard": SimpleNamespace(origin="tensorboard.py"), "wandb": SimpleNamespace(origin=None)}
    monkeypatch.setattr(tracking, "find_spec", here.get)
    for verb in (archgrad.search, archgrad.train):
        with pytest.raises(archgrad.InputError) as error:
            verb("darts" if verb is archgrad.search else "DARTS_V2", track=track)
        assert all(word in str(error.value) for word in words)
        assert "\n" not in str(error.value)


def test_names_and_hyper_parameters_are_flat(search_result: SearchResult) -> None:
    event = {"event": "epoch", "phase": "train", "step": 7, "rate": 0.5, "averaged": True, "words": "none", "some": [1]}
    event["validation"] = {"GDP (%)": 2, "nested": {"deep": 3.0}, "missing": None}
    assert tracking.figures(event) == {
        "train/epoch/rate": 0.5,
        "train/epoch/averaged": 1.0,
        "train/epoch/validation/GDP ___": 2.0,
        "train/epoch/validation/nested/deep": 3.0,
    }
    told = tracking.hyper_parameters(search_result.config)
    assert told["supernet.channels"] == 4 and told["recipe"] == "random" and told["seed"] == 0
    assert all(isinstance(value, (str, int, float)) for value in told.values())
