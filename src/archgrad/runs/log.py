"""The log of a run: one JSON object a line, flushed as it is written, and cut back to a checkpoint on resume."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from archgrad.errors import InputError, RunError
from archgrad.runs.writing import writing

__all__ = ["Log", "read"]


class Log:
    """The log file of one run, open for appending from the first event on.

    A line that a crash left half written is never an event: it is removed before the next one is appended.

    Args:
        path: the file, usually ``log.jsonl``; it is made with the first event.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file: BinaryIO | None = None

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event as one line and hand it to the operating system at once.

        Floats are written so that reading gives the same bits; those that JSON lacks become the strings "NaN",
        "Infinity" and "-Infinity". Scalars and small arrays of numpy and torch are written as numbers and lists.

        Raises:
            RunError: the disk is full or the file cannot be written; the log then ends with the event before.
            TypeError: the event holds something that is no JSON.
        """
        line = json.dumps(_valid(event), allow_nan=False, separators=(",", ":")).encode() + b"\n"
        with writing(self.path, len(line)):
            file = self._opened()
            before = file.tell()
            try:
                written = 0
                while written < len(line):
                    written += file.write(line[written:])
            except OSError:
                file.truncate(before)
                raise

    def position(self) -> int:
        """Return the length of the log in bytes, once all of it is on the disk: what a checkpoint remembers.

        Raises:
            RunError: the file cannot be written.
        """
        with writing(self.path, 0):
            file = self._opened()
            os.fsync(file.fileno())
            return file.tell()

    def cut(self, position: int | None = None) -> None:
        """Drop everything after a position, or only a half-written last line.

        Args:
            position: what :meth:`position` returned when the checkpoint was written; None keeps all whole lines.

        Raises:
            RunError: the log is shorter than that or has no line end there, so it is not the log of that checkpoint.
        """
        with writing(self.path, 0):
            file = self._opened()
            length = file.tell()
            if position is None or position == length:
                return
            if not 0 <= position < length or not _ends_line(self.path, position):
                raise RunError(
                    f"{self.path} does not belong to the checkpoint: it has {length} bytes and no line ends at byte "
                    f"{position}. Put the log of this run back, or start again under another --run."
                )
            file.truncate(position)
            file.seek(position)
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the file; a later event opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        """Return the file, unbuffered, positioned after its last whole line."""
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
            whole = _whole(self.path)
            if whole < self._file.seek(0, os.SEEK_END):
                self._file.truncate(whole)
                self._file.seek(whole)
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path | str) -> Iterator[dict[str, Any]]:
    """Yield the events of a log in order, while it grows or after a crash: a torn last line is passed over.

    Raises:
        InputError: there is no such file.
        RunError: a line before the last is no JSON object, so the file was damaged after it was written.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"The log {path} cannot be read: {error.strerror or error}.") from error
    whole = lines[:-1]  # what follows the last line end is empty, or torn
    for number, line in enumerate(whole, start=1):
        try:
            event = json.loads(line)
        except ValueError:  # both no JSON and no UTF-8
            event = None
        if isinstance(event, dict):
            yield event
        elif number < len(whole):
            raise RunError(f"{path} is damaged: line {number} is no JSON object.")


def _ends_line(path: Path, position: int) -> bool:
    """Return whether a line ends right before a position."""
    with path.open("rb") as file:
        file.seek(max(position - 1, 0))
        return position == 0 or file.read(1) == b"\n"


def _whole(path: Path) -> int:
    """Return the length up to the last line end, reading backwards."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def _valid(value: Any) -> Any:
    """Return a value as plain JSON data."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else json.dumps(key): _valid(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_valid(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, (str, int, float)) and hasattr(value, "tolist"):
        return _valid(value.tolist())
    return value
