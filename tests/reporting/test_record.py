"""Reading a run directory: whatever is missing or damaged becomes a sentence, never a failure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.runs import make_run, write_model

from archgrad.errors import InputError
from archgrad.reporting.record import number, read_record


def _append(run: Path, *events: dict[str, Any]) -> None:
    with (run / "log.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def test_a_whole_run(tmp_path: Path) -> None:
    record = read_record(make_run(tmp_path / "run", epochs=3, train=2, seed=7))
    assert record.missing == []
    assert record.config["seed"] == 7 and record.value("supernet_parameters") == 1930618
    assert [event["epoch"] for event in record.epochs("search")] == [1, 2, 3]
    assert [event["step"] for event in record.steps("search")] == list(range(12))
    assert [event["epoch"] for event in record.epochs("train")] == [1, 2]
    assert record.architecture is not None and len(record.architecture.cells["normal"].edges) == 8
    assert record.model is not None and record.model["parameters"] == 16 * 9 + 160


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.yaml", "There is no config.yaml, so the settings are unknown."),
        ("log.jsonl", "There is no log.jsonl that can be read, so there are no curves."),
        ("architecture.json", "There is no architecture.json yet: nothing was derived."),
    ],
)
def test_a_missing_file_is_said(tmp_path: Path, name: str, message: str) -> None:
    run = make_run(tmp_path / "run", epochs=1)
    (run / name).unlink()
    assert read_record(run).missing == [message]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.yaml", b"a: [1", "config.yaml"),
        ("config.yaml", b"- 1\n- 2\n", "holds no settings"),
        ("config.yaml", b"\xff\xfe\x00", "config.yaml"),
        ("config.yaml", b"!!python/object/apply:os.system ['true']", "config.yaml"),
        ("log.jsonl", b"", "nothing has happened yet"),
        ("log.jsonl", b'{"event":"start","phase":"search"}\nrubbish\n{}\n', "line 2"),
        ("architecture.json", b"{", "not a JSON file"),
        ("architecture.json", b'{"schema": 9}', "schema 9"),
        ("architecture.json", b'{"schema": 1, "space": "moon", "cells": {}}', "moon"),
        ("model.safetensors", b"", "no whole safetensors file"),
        ("model.safetensors", (10**15).to_bytes(8, "little") + b"{}", "no whole safetensors file"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]", "header is damaged"),
        ("model.safetensors", (3).to_bytes(8, "little") + b"{{{", "header is damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    run = make_run(tmp_path / "run", epochs=1)
    (run / name).write_bytes(content)
    record = read_record(run)
    assert any(said in sentence for sentence in record.missing), record.missing


def test_events_before_the_damage_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=2)
    with (run / "log.jsonl").open("a") as file:
        file.write('rubbish\n{"event": "end"}\n')
    record = read_record(run)
    assert len(record.epochs("search")) == 2


def test_a_line_torn_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=2, planned=9)
    with (run / "log.jsonl").open("a") as file:
        file.write('{"event": "epoch", "phase": "sea')
    record = read_record(run)
    assert len(record.epochs("search")) == 2
    assert "The search has not ended; it did 2 epochs so far." in record.missing


def test_what_is_done_again_replaces_what_was_before(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=3, train=3)
    _append(
        run,
        {"event": "start", "phase": "train"},
        {"event": "epoch", "phase": "train", "epoch": 1, "loss": 9.0},
        {"event": "epoch", "phase": "train", "epoch": 2, "loss": 8.0},
        {"event": "step", "phase": "search", "step": 5, "epoch": 2, "loss": 7.0},
    )
    record = read_record(run)
    assert [event["loss"] for event in record.epochs("train")] == [9.0, 8.0]
    assert [event["step"] for event in record.steps("search")] == [0, 1, 2, 3, 4, 5]
    assert record.steps("search")[-1]["loss"] == 7.0


def test_warnings_once_each_with_the_monitors_last_word(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=1, warnings=("one", "two", "one"))
    _append(run, {"event": "epoch", "phase": "search", "epoch": 2, "monitor": {"warning": "collapsing"}})
    assert read_record(run).warnings() == ["one", "two", "collapsing"]


def test_parameters_are_counted_without_statistics(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=1)
    shapes = {"a.weight": [3, 4], "a.running_mean": [4], "a.running_var": [4], "stem.mean": [1, 3, 1, 1], "b.bias": [5]}
    write_model(run / "model.safetensors", shapes)
    model = read_record(run).model
    assert model is not None
    assert model["parameters"] == 17 and model["input_shape"] == [1, 8, 8] and model["classes"] == ["0", "1"]


def test_a_model_written_by_the_library_itself(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    run = make_run(tmp_path / "run", epochs=1)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    save_file(network.state_dict(), run / "model.safetensors")
    model = read_record(run).model
    assert model is not None
    assert model["parameters"] == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("make", "said"), [("missing", "does not exist"), ("file", "is a file"), ("empty", "is no run")]
)
def test_what_is_no_run_directory_is_refused(tmp_path: Path, make: str, said: str) -> None:
    path = tmp_path / make
    if make == "file":
        path.write_text("")
    elif make == "empty":
        path.mkdir()
    with pytest.raises(InputError, match=said):
        read_record(path)


def test_numbers_of_a_log() -> None:
    assert number(3) == 3.0 and number("-Infinity") == -math.inf
    junk: list[Any] = [None, "NaN", "x", [], {}, True, 10**400]
    assert all(math.isnan(number(value)) for value in junk)
