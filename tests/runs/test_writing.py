from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archgrad.errors import RunError
from archgrad.runs.writing import readable_size, write_atomically


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "architecture.json"
    write_atomically(file, b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1024))
    with pytest.raises(RunError) as caught:
        write_atomically(file, b"n" * 3072)
    message = str(caught.value)
    assert str(file) in message
    assert "disk is full" in message
    assert "2.0 KiB are missing" in message
    assert "intact" in message
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_quota_on_a_disk_that_reports_space_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="takes 3 bytes; it reports free space, so mind quotas"):
        write_atomically(tmp_path / "x", b"new")


def test_another_failure_names_file_and_reason(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"missing/x could not be written: No such file or directory"):
        write_atomically(tmp_path / "missing" / "x", b"")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x", b"new")
    assert not list(tmp_path.iterdir())


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", b"a longer content")
    write_atomically(tmp_path / "x", b"short")
    assert (tmp_path / "x").read_bytes() == b"short"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (2**41, "2.0 TiB")],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable_size(size) == text
