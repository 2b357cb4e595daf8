from __future__ import annotations

import errno
import json
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archgrad.errors import InputError, RunError
from archgrad.runs.log import Log, read

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), plain, max_size=4), max_size=4))
def test_events_are_read_as_they_were_written(events: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Log(Path(folder) / "log.jsonl") as log:
        for event in events:
            log.append(event)
        log.position()  # makes the file where there was no event
        assert list(read(log.path)) == events


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_bits(number: float) -> None:
    with tempfile.TemporaryDirectory() as folder, Log(Path(folder) / "log.jsonl") as log:
        log.append({"loss": number})
        (event,) = read(log.path)
    assert struct.pack("<d", event["loss"]) == struct.pack("<d", number)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_every_line_is_valid_json_whatever_the_numbers(tmp_path: Path) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        event: dict[Any, Any] = {"loss": math.nan, "nested": [{"x": math.inf}, -math.inf], 3: "keys"}
        log.append(event)
        log.append({"tensor": torch.tensor([1.5, math.nan]), "scalar": numpy.float32(0.5), "path": tmp_path})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    first, second = (json.loads(line, parse_constant=_refuse) for line in lines)
    assert first == {"loss": "NaN", "nested": [{"x": "Infinity"}, "-Infinity"], "3": "keys"}
    assert second == {"tensor": [1.5, "NaN"], "scalar": 0.5, "path": str(tmp_path)}


def test_an_event_is_in_the_file_at_once(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.append({"step": 1})
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"step":1}\n'
    assert log.position() == len(b'{"step":1}\n')
    log.close()


def test_a_resumed_log_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    events = [{"step": step, "loss": 1 / (step + 3)} for step in range(8)]
    with Log(tmp_path / "whole.jsonl") as log:
        for event in events:
            log.append(event)
    with Log(tmp_path / "killed.jsonl") as log:
        for event in events[:3]:
            log.append(event)
        checkpoint = log.position()
        for event in events[3:6]:
            log.append(event)
    with (tmp_path / "killed.jsonl").open("ab") as file:
        file.write(b'{"step":6,"lo')  # killed within a line
    with Log(tmp_path / "killed.jsonl") as log:
        log.cut(checkpoint)
        assert log.position() == checkpoint
        for event in events[3:]:
            log.append(event)
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("position", [0, None])
def test_cutting_all_or_nothing(tmp_path: Path, position: int | None) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        log.append({"step": 1})
        log.cut(position)
        log.append({"step": 2})
    assert [event["step"] for event in read(tmp_path / "log.jsonl")] == ([2] if position == 0 else [1, 2])


@pytest.mark.parametrize("position", [5, 100, -1])
def test_a_log_that_is_not_the_checkpoints_is_refused_untouched(tmp_path: Path, position: int) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        log.append({"step": 1})
        with pytest.raises(RunError, match="does not belong to the checkpoint"):
            log.cut(position)
    assert list(read(tmp_path / "log.jsonl")) == [{"step": 1}]


def test_a_torn_line_is_passed_over_at_every_length_and_removed_by_the_next_event(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with Log(file) as log:
        log.append({"step": 1})
        before = log.position()
        log.append({"step": 2, "text": "é\n" * 40000})  # longer than one block when looking for the line end
    whole = file.read_bytes()
    for length in [before, before + 1, before + 10, len(whole) - 2, len(whole) - 1]:
        file.write_bytes(whole[:length])
        assert list(read(file)) == [{"step": 1}]
        with Log(file) as log:
            log.append({"step": 3})
        assert list(read(file)) == [{"step": 1}, {"step": 3}]


def test_zeros_left_by_a_power_failure_at_the_end_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"step":1}\n\0\0\0\0\n')
    assert list(read(tmp_path / "log.jsonl")) == [{"step": 1}]


@pytest.mark.parametrize("line", [b"{torn", b"\xff\xfe", b"[1]", b""])
def test_damage_in_the_middle_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"step":1}\n' + line + b'\n{"step":3}\n')
    with pytest.raises(RunError, match="line 2"):
        list(read(tmp_path / "log.jsonl"))


def test_a_missing_log_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.jsonl cannot be read"):
        list(read(tmp_path / "nothing.jsonl"))


class _FullDisk:
    """A file on a disk with room for a few more bytes: it takes a part of the line, then nothing."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = int(self.file.write(data[: self.room]))
        self.room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_full_disk_leaves_the_events_before_and_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        log.append({"step": 1})
        monkeypatch.setattr(log, "_file", _FullDisk(log._file, room=4))
        with pytest.raises(RunError, match="disk is full"):
            log.append({"step": 2})
        assert (tmp_path / "log.jsonl").read_bytes() == b'{"step":1}\n'
    with Log(tmp_path / "log.jsonl") as log:
        log.append({"step": 2})
    assert [event["step"] for event in read(tmp_path / "log.jsonl")] == [1, 2]
