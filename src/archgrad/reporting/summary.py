"""The figures and sentences of the report: one row a quantity, and the commands that make the runs again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from archgrad import registry
from archgrad.architecture import Architecture
from archgrad.reporting.record import Record, finite, number

__all__ = ["commands", "headline", "notes", "status", "summary"]

NOTHING = "–"
THIN = "\u202f"  # a thin space that no line breaks at
METRICS = {
    "validation": "Validation {} of the supernet",
    "derived_validation": "Validation {} of the derived cell",
    "derived_validation_weighted": "Validation {} of the derived cell with its weights",
}


def summary(records: list[Record]) -> list[tuple[str, list[str]]]:
    """Return the rows of the summary: what it is, and its value in words for every run; rows without any are left out.

    Args:
        records: the runs.
    """
    rows: list[tuple[str, list[str]]] = [
        ("Recipe", [_words(record.value("recipe")) for record in records]),
        ("Data", [_words(record.value("data")) for record in records]),
        ("Space", [_words(record.value("space")) for record in records]),
        ("Seed", [_words(record.value("seed")) for record in records]),
        ("Epochs of the search", [_epochs(record) for record in records]),
        ("Time of the search", [_duration(_seconds(record, "search")) for record in records]),
        ("Peak memory", [_memory(record) for record in records]),
        ("Weights in the supernet", [_count(record.value("supernet_parameters")) for record in records]),
    ]
    for part, label in METRICS.items():
        measured = [_metrics(record, "search", part) for record in records]
        rows += _metric_rows(label, measured)
    rows += [
        ("Epochs of training", [_count(len(record.epochs("train")) or None) for record in records]),
        ("Time of training", [_duration(_seconds(record, "train")) for record in records]),
        ("Parameters of the network", [_count(_parameters(record)) for record in records]),
        ("Size of model.safetensors", [_size(record) for record in records]),
    ]
    rows += _metric_rows("Validation {} of the trained network", [_metrics(r, "train", "validation") for r in records])
    rows += _metric_rows("Test {}", [tests(record) for record in records])
    return [(label, values) for label, values in rows if any(value != NOTHING for value in values)]


def headline(record: Record) -> list[tuple[str, str]]:
    """Return the few known figures that a reader looks for first, as (value, what it is)."""
    measured = tests(record)
    found: list[tuple[str, str]] = []
    for words, metrics in (
        ("test {}", measured),
        ("validation {}, derived cell", _metrics(record, "search", "derived_validation")),
        ("validation {}, supernet", _metrics(record, "search", "validation")),
    ):
        name = next((name for name in metrics if name != "loss"), None)
        if name and len(found) < 2:
            found.append((_metric(name, metrics[name]), words.format(name)))
    found.append((_count(_parameters(record)), "parameters of the network"))
    found.append((_duration(_seconds(record, "search")), "of search"))
    found.append((_memory(record), "peak memory"))
    return [(value, words) for value, words in found if value != NOTHING][:4]


def status(record: Record) -> str:
    """Return in a few words how far a run came."""
    done = [phase for phase in ("search", "train") if record.last("end", phase)]
    if not done and not record.epochs("search"):
        return "nothing finished yet"
    if "search" not in done:
        return "search not finished"
    if "train" in done or record.model:
        return "searched and trained"
    return "training not finished" if record.epochs("train") else "searched"


def notes(record: Record) -> list[str]:
    """Return what a reader should know before believing the figures: the log's warnings, and signs of collapse."""
    found = record.warnings()
    cells = record.architecture.cells if record.architecture else {}
    for kind, cell in cells.items():
        names = [edge.operation for edge in cell.edges]
        skips = sum(name in ("skip_connect", "identity") for name in names)
        if not names:
            found.append(f"The {kind} cell is empty: no operation was kept, so it gives zeros.")
        elif 2 * skips > len(names) and not any(f"{kind} cell" in warning for warning in found):
            found.append(
                f"{skips} of the {len(names)} operations of the {kind} cell are skip connections: the search may have "
                "collapsed, as differentiable searches do when edges without weights learn faster than the others."
            )
    return found


def commands(record: Record) -> list[tuple[str, str]]:
    """Return the commands that make the run again, as (when to use it, the command)."""
    again = str(record.path) + "-again"
    found: list[tuple[str, str]] = []
    started = record.config.get("command")
    if isinstance(started, list) and started and all(isinstance(word, str) for word in started):
        words = started if started[0] == "archgrad" else ["archgrad", *started]
        found.append(("The run was started with", shlex.join(words)))
    if record.config:
        remake = ["archgrad", "search", "--config", str(record.path / "config.yaml"), "--run", again]
        found.append(("The same run from its settings alone", shlex.join(remake)))
    if record.epochs("train"):
        words = ["archgrad", "train", again]
        asked = record.last("start", "train").get("command")
        if isinstance(asked, list) and asked and all(isinstance(word, str) for word in asked):
            words = asked if asked[0] == "archgrad" else ["archgrad", *asked]
        found.append(("Then train what it found", shlex.join(words)))
    return found


def data_is_named(record: Record) -> bool:
    """Return whether the data can be had again by its name, which data given in memory cannot."""
    name = _words(record.value("data"))
    return name != NOTHING and name.partition(":")[0] in registry.names("data")


def tests(record: Record) -> dict[str, float]:
    """Return the latest metrics of the test part, from an evaluation or from the end of the training."""
    for event in reversed(record.events):
        for key in ("test", "metrics"):
            if key in event and (key == "test" or event.get("event") == "evaluate"):
                return _numbers(event[key])
    return {}


def operations_of(architecture: Architecture) -> list[str]:
    """Return every operation of every cell."""
    return [edge.operation for cell in architecture.cells.values() for edge in cell.edges]


def _numbers(value: Any) -> dict[str, float]:
    items = value.items() if isinstance(value, Mapping) else ()
    return {str(name): number(entry) for name, entry in items if not math.isnan(number(entry))}


def _metrics(record: Record, phase: str, part: str) -> dict[str, float]:
    """Return metrics from the end of a phase, or from its last epoch that has them."""
    for event in (record.last("end", phase), *reversed(record.epochs(phase))):
        if found := _numbers(event.get(part)):
            return found
    return {}


def _metric_rows(label: str, measured: list[dict[str, float]]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for metrics in measured for name in metrics)
    # the loss last: people look for the other one
    ordered = sorted(names, key=lambda name: name == "loss")
    return [
        (
            label.format(name.replace("_", " ")),
            [_metric(name, metrics[name]) if name in metrics else NOTHING for metrics in measured],
        )
        for name in ordered
    ]


def _metric(name: str, value: float) -> str:
    if "accuracy" in name and 0 <= value <= 1:
        return f"{100 * value:.2f}{THIN}%"
    return f"{value:.4g}"


def _words(value: Any) -> str:
    """Return a setting in words: a group of settings by its name, nothing as a dash."""
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("spec", "name") if value.get(key)), None)
    return NOTHING if value is None or value == "" else str(value)


def _epochs(record: Record) -> str:
    done, planned = len(record.epochs("search")), number(record.config.get("epochs"))
    if not done and math.isnan(planned):
        return NOTHING
    return str(done) if math.isnan(planned) or done == planned else f"{done} of {planned:g}"


def _seconds(record: Record, phase: str) -> float:
    """Return how long a phase took; of one that has not ended, how long its epochs took."""
    for key in (f"{phase}_seconds", "seconds"):
        if finite([record.last("end", phase).get(key)]):
            return number(record.last("end", phase)[key])
    return sum((number(event.get("seconds")) for event in record.epochs(phase)), 0.0) or math.nan


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 100:
        return f"{seconds:.1f}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _memory(record: Record) -> str:
    measured = [number(record.value("peak_memory_mb"))]
    measured += [number(event.get("peak_memory_mb")) for event in record.epochs("search")]
    known = [value for value in measured if math.isfinite(value)]
    return f"{max(known):,.0f}{THIN}MB".replace(",", THIN) if known else NOTHING


def _parameters(record: Record) -> float | None:
    value = number(record.value("parameters", phase="train"))
    if math.isfinite(value):
        return value
    return record.model["parameters"] if record.model else None


def _size(record: Record) -> str:
    return f"{record.model['bytes'] / 1e6:.2f}{THIN}MB" if record.model else NOTHING


def _count(value: Any) -> str:
    """Return a whole number with thin spaces between the thousands."""
    return f"{number(value):,.0f}".replace(",", THIN) if finite([value]) else NOTHING
