"""Reads a run directory for the report. What is missing or damaged is noted in words and never stops the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archgrad.architecture import Architecture
from archgrad.errors import ArchgradError, InputError
from archgrad.runs import log
from archgrad.runs.text import load_yaml

__all__ = ["Record", "finite", "number", "read_record"]

FILES = ("config.yaml", "log.jsonl", "architecture.json")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "mean", "std")  # saved, but set by no training
LARGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass
class Record:
    """What a run directory tells.

    Attributes:
        path: the run directory.
        config_text: config.yaml as it stands.
        config: the same, parsed; empty when it cannot be.
        events: all events of log.jsonl in order.
        architecture: what was found, or None.
        model: what the header of model.safetensors says, or None: ``parameters``, ``bytes``, ``classes`` and
            ``input_shape``.
        missing: what is not there or cannot be read, one sentence each.
        forecasts: forecasts.json of a forecaster; empty where there is none.
    """

    path: Path
    config_text: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    architecture: Architecture | None = None
    model: dict[str, Any] | None = None
    missing: list[str] = field(default_factory=list)
    forecasts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.path.resolve().name

    def epochs(self, phase: str) -> list[dict[str, Any]]:
        """Return the epochs of the last "search" or "train" in order; a repeated epoch replaces what it repeats."""
        kept: list[dict[str, Any]] = []
        for event in self._of("epoch", phase):
            if math.isfinite(number(event.get("epoch"))):
                kept = [earlier for earlier in kept if number(earlier["epoch"]) < number(event["epoch"])]
                kept.append(event)
        return kept

    def steps(self, phase: str) -> list[dict[str, Any]]:
        """Return the logged steps of a phase in order; a repeated step replaces what it repeats."""
        kept: list[dict[str, Any]] = []
        for event in self._of("step", phase):
            step = number(event.get("step"))
            while kept and math.isfinite(step) and number(kept[-1].get("step")) >= step:
                kept.pop()
            kept.append(event)
        return kept

    def last(self, event: str, phase: str) -> dict[str, Any]:
        """Return the last "start" or "end" of a phase; empty when there is none."""
        return next((found for found in reversed(self._of(event, phase))), {})

    def warnings(self) -> list[str]:
        """Return every warning of the log once, and the monitor's last word."""
        messages = [str(event.get("message", "")) for event in self.events if event.get("event") == "warning"]
        for epoch in self.epochs("search")[-1:]:
            monitor = epoch.get("monitor")
            if isinstance(monitor, Mapping) and isinstance(monitor.get("warning"), str):
                messages.append(monitor["warning"])
        return [message for message in dict.fromkeys(messages) if message]

    def value(self, *keys: str, phase: str = "search") -> Any:
        """Return the first of these keys that the end, the start or the configuration of a run holds, or None."""
        for source in (self.last("end", phase), self.last("start", phase), self.config):
            for key in keys:
                if source.get(key) is not None:
                    return source[key]
        return None

    def _of(self, event: str, phase: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e.get("event") == event and e.get("phase", "search") == phase]


def read_record(path: Path) -> Record:
    """Read a run directory.

    Raises:
        InputError: the path is no directory, or holds none of the files of a run.
    """
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        raise InputError(f"{path} {what}; a report needs a run directory, as 'archgrad search --run DIR' writes it.")
    if not any((path / name).is_file() for name in FILES):
        raise InputError(f"{path} is no run directory: it has none of {', '.join(FILES)}.")
    record = Record(path)
    _read_config(record)
    _read_log(record)
    try:
        record.architecture = Architecture.load(path / "architecture.json")
    except (ArchgradError, RecursionError) as error:
        there = (path / "architecture.json").exists()
        record.missing.append(str(error) if there else "There is no architecture.json yet: nothing was derived.")
    try:
        record.model = _read_header(path / "model.safetensors")
    except (OSError, ValueError) as error:
        record.missing.append(f"model.safetensors cannot be read: {error}.")
    _read_forecasts(record)
    return record


def _read_forecasts(record: Record) -> None:
    try:
        found = json.loads((record.path / "forecasts.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        record.forecasts = found
    else:
        record.missing.append("forecasts.json cannot be read, so no forecasts are shown.")


def _read_config(record: Record) -> None:
    try:
        record.config_text = (record.path / "config.yaml").read_text(encoding="utf-8")
        config = load_yaml(record.config_text, "config.yaml")
    except FileNotFoundError:
        record.missing.append("There is no config.yaml, so the settings are unknown.")
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        record.missing.append(f"config.yaml cannot be read: {error}.")
    except InputError as error:
        record.missing.append(" ".join(str(error).split()))
    else:
        if isinstance(config, dict):
            record.config = {str(key): value for key, value in config.items()}
        else:
            record.missing.append("config.yaml holds no settings.")


def _read_log(record: Record) -> None:
    try:
        for event in log.read(record.path / "log.jsonl"):
            record.events.append(event)
    except InputError:
        record.missing.append("There is no log.jsonl that can be read, so there are no curves.")
    except (ArchgradError, RecursionError) as error:
        record.missing.append(f"{error} What comes before it is shown.")
    else:
        if not record.events:
            record.missing.append("log.jsonl is empty: nothing has happened yet.")
    for phase in ("search", "train"):
        began = any(event.get("phase") == phase for event in record.events)
        if began and not record.last("end", phase):
            done = len(record.epochs(phase))
            record.missing.append(f"The {phase} has not ended; it did {done} epoch{'s' * (done != 1)} so far.")


def _read_header(path: Path) -> dict[str, Any] | None:
    """Return what the JSON header of a safetensors file tells; the tensors themselves are not read.

    Raises:
        ValueError: the file is no safetensors file.
        OSError: it cannot be read.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise ValueError("it is no whole safetensors file")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ValueError("its header is damaged") from error
    if not isinstance(header, dict):
        raise ValueError("its header is damaged")
    metadata = header.pop("__metadata__", {})
    about: Any = {}
    try:
        about = json.loads(metadata["archgrad"])
    except (KeyError, TypeError, ValueError, RecursionError):
        pass  # a network saved by other means is still counted
    shapes = [
        entry.get("shape")
        for name, entry in header.items()
        if isinstance(entry, dict) and name.rpartition(".")[2] not in BUFFERS
    ]
    parameters = sum(math.prod(shape) for shape in shapes if isinstance(shape, list) and all(map(_size, shape)))
    about = about if isinstance(about, dict) else {}
    return {
        "parameters": parameters,
        "bytes": size,
        "classes": about.get("classes"),
        "input_shape": about.get("input_shape"),
    }


def _size(value: Any) -> bool:
    return type(value) is int and value >= 0


def number(value: Any) -> float:
    """Return a number from a log as a float: infinities and NaN are strings there, anything else is NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def finite(values: Iterable[Any]) -> bool:
    """Return whether any value is a finite number, that is, whether there is anything to draw."""
    return any(math.isfinite(number(value)) for value in values)
