"""Experiment trackers: the figures of a run's log go to TensorBoard, MLflow or Weights & Biases too, as it is written.

The trackers are accelerate's. They are guests of a run: none changes what it is, and one that fails leaves it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from archgrad.errors import InputError, RunError, unknown
from archgrad.runs.config import SearchConfig
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import Log
from archgrad.runs.writing import write_atomically

__all__ = ["TRACKERS", "Tracking", "figures", "hyper_parameters", "tracker_names"]

TRACKERS = ("tensorboard", "mlflow", "wandb")
"""What can be asked for; each is also the name of the package that it takes."""

PROJECT = "archgrad"
"""Under which name MLflow (experiment) and Weights & Biases (project) file runs, if the user's settings say nothing."""

NO_FIGURES = ("architecture", "step")
"""Keys of the log whose numbers draw no curve: edges of a cell, and the step, which is the axis of all curves."""

NO_NAME = re.compile(r"[^\w.\- :]")
"""What MLflow takes in no name; a metric or a series of the user's may be called anything."""

_log = logging.getLogger(__name__)


def tracker_names(track: str | Sequence[str], run: object) -> tuple[str, ...]:
    """Return the trackers that are meant, each once.

    Args:
        track: one name, or several.
        run: the run directory, in whatever form; None if nothing is written.

    Raises:
        InputError: there is no such tracker, its package is not installed, or it has nowhere to write.
    """
    names = tuple(dict.fromkeys([track] if isinstance(track, str) else track))
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of this name, such as wandb leaves behind, is no package
            raise InputError(
                f"Tracking with {name} needs a package that is not installed: pip install 'archgrad[track]'"
            )
    if "tensorboard" in names and run is None:
        raise InputError(
            "tensorboard keeps its curves in the run directory, and this run has none: name one with run='DIR'."
        )
    return names


def figures(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of one line of the log, as ``search/epoch/validation/accuracy``: phase, event, then its keys.

    Args:
        event: as in log.jsonl, with ``event`` and ``phase``. Lists and words are passed over; True counts as 1.
    """
    return dict(_scalars(f"{event['phase']}/{event['event']}", event))


def _scalars(name: str, value: object) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in NO_FIGURES:
                yield from _scalars(f"{name}/{NO_NAME.sub('_', str(key))}", item)
    elif isinstance(value, (int, float)):
        yield name, float(value)


def hyper_parameters(config: SearchConfig) -> dict[str, Any]:
    """Return a configuration flat, by the paths of ``--set``: ``{"supernet.cells": 8, ...}``; lists become JSON."""

    def flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from flat(f"{prefix}.{key}" if prefix else str(key), item)
        elif value is not None:
            yield prefix, value if isinstance(value, (str, int, float)) else json.dumps(value)

    return dict(flat("", config.model_dump(mode="json")))


class Tracking:
    """The trackers of one search or training.

    Args:
        names: as :func:`tracker_names` returned them; none in every process but the main one.
        phase: "search" or "train"; each has curves of its own, for both count their steps from 1.
        run: the run directory, under whose ``tracking`` a tracker keeps what is its own.
    """

    def __init__(self, names: Sequence[str] = (), phase: str = "search", run: RunDirectory | None = None) -> None:
        self.names, self.phase, self.run = tuple(names), phase, run
        self.log: Log | None = None
        self._running: dict[str, Any] = {}

    def start(self, step: int, config: SearchConfig, log: Log | None) -> None:
        """Begin, or go on with the curves of a resumed run.

        Args:
            step: steps done; what was forwarded of later ones before an interruption is taken back or written over.
            config: the hyper-parameters, which a tracker is told once.
            log: of the run, for warnings.
        """
        self.log = log
        for name in self.names:
            try:
                self._running[name] = self._started(name, step, config)
            except Exception as error:  # whatever a tracker raises, it is not the run's failure
                self._leave(name, "could not be started", error)

    def forward(self, event: Mapping[str, Any], step: int) -> None:
        """Forward the figures of an event.

        Args:
            event: a line of the log.
            step: steps done.
        """
        if not self._running:
            return
        # A growth and the end come after the checkpoint of this step, so a resumed run has to take them back as well.
        step += event["event"] not in ("step", "epoch")
        values = figures(event)
        for name, tracker in list(self._running.items()):
            try:
                tracker.log(values, step=step)
            except Exception as error:
                self._leave(name, f"failed at step {step}", error)

    def close(self) -> None:
        """Let the trackers write what they still hold."""
        for name, tracker in list(self._running.items()):
            try:
                tracker.finish()
            except Exception as error:
                self._leave(name, "could not write its last figures", error)
        self._running.clear()

    def _leave(self, name: str, what: str, error: Exception) -> None:
        """Go on without a tracker, and say so at once and in the log."""
        self._running.pop(name, None)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        kept = " Every figure is in log.jsonl." if self.run else ""
        message = f"{name} {what} ({reason}); the {self.phase} goes on without it.{kept}"
        _log.warning(message)
        if self.log:
            with suppress(RunError):  # where even this line has no room, the run itself will say so
                self.log.append({"event": "warning", "message": message})

    def _started(self, name: str, step: int, config: SearchConfig) -> Any:
        """Return accelerate's tracker, ready to log."""
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # accelerate's trackers ask it which process this is
        folder = self.run.tracking if self.run else None
        if folder:
            folder.mkdir(exist_ok=True)
        known = _known(folder)
        key = f"{self.phase}/{name}"
        make = LOGGER_TYPE_TO_CLASS[name]
        title = f"{self.run.path.resolve().name}/{self.phase}" if self.run else None
        if name == "tensorboard":
            # purge_step: viewers forget what an interrupted run wrote behind the checkpoint it is resumed from
            tracker = make(self.phase, logging_dir=str(folder / name) if folder else name, purge_step=step + 1)
        elif name == "mlflow":
            # nested: within a run that the user has open this is one of its children, otherwise it is a plain run
            tracker = make(PROJECT, run_id=known.get(key), run_name=title, nested_run=True)
        else:
            place = {"name": title, "job_type": self.phase, "dir": str(folder) if folder else None}
            project = os.environ.get("WANDB_PROJECT", PROJECT)
            tracker = make(project, id=known.get(key), resume="allow", **place)
        tracker.start()
        if key not in known:
            tracker.store_init_configuration(hyper_parameters(config))
            if folder:
                known[key] = _identity(name, tracker)
                write_atomically(folder / "known.json", json.dumps(known, indent=1).encode())
        return tracker


def _identity(name: str, tracker: Any) -> str:
    """Return under what a tracker knows a run, to go on with the same one."""
    if name == "mlflow":
        return str(tracker.tracker.info.run_id)
    return str(tracker.tracker.id) if name == "wandb" else name


def _known(folder: Path | None) -> dict[str, str]:
    """Return what the trackers of a run call it, by "phase/tracker"."""
    try:
        known = json.loads((folder / "known.json").read_text()) if folder else {}
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}
