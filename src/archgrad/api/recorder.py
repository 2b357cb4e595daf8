"""What listens to a search: writes the log and the checkpoints, calls the user's hook."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archgrad.api.tracking import Tracking
from archgrad.architecture import Architecture
from archgrad.engine.curvature import choice_curvature, stopping_epoch
from archgrad.engine.monitor import collapsed
from archgrad.engine.state import SearchState
from archgrad.errors import InputError
from archgrad.processes import agree
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import Log
from archgrad.tasks.cell_table import CellTable

__all__ = ["Recorder", "peak_memory_mb"]

EPOCH, INTERRUPTED = "epoch-", "interrupted-"

Hook = Callable[[SearchState], object]
Progress = Callable[[str, SearchState, dict[str, Any]], None]


def peak_memory_mb() -> float:
    """Return the most memory that this process held so far, in MiB: on the GPU if there is one, else resident."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):  # ru_maxrss counts what the process that started this one held
                return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


class Recorder:
    """Listener of :func:`archgrad.engine.loop.run_search`.

    Args:
        config: of the run.
        run: where to write; None: nothing is written. Every process reads it, only the main one writes.
        fingerprint: of the data, checked on resume.
        on_epoch: the user's hook, called with the state after every epoch; True stops the search.
        progress: shows what happens.
        main: whether this process writes.
        table: of trained cells, in which every epoch's derived cell is looked up; it decides nothing.
        tracking: experiment trackers, which get the figures of the log.

    Attributes:
        collapsed: whether a collapse, or a loss that got sharp, ended the search for good, as ``early_stop`` asks.
    """

    def __init__(
        self,
        config: SearchConfig,
        run: RunDirectory | None,
        fingerprint: str,
        on_epoch: Hook | None = None,
        progress: Progress | None = None,
        main: bool = True,
        table: CellTable | None = None,
        tracking: Tracking | None = None,
    ) -> None:
        self.table, self.tracking = table, tracking or Tracking()
        self.config, self.run, self.fingerprint = config, run, fingerprint
        self.on_epoch, self.progress = on_epoch, progress
        self.log: Log | None = run.open_log() if run and main else None
        self.interrupted = False
        self.seconds = 0.0
        self.warnings: list[str] = []
        self.last: dict[str, Any] = {}
        self.collapsed = False

    def start(self, state: SearchState) -> None:
        """Take up the newest checkpoint if there is one, else begin the log."""
        if self.run is None:
            return
        newest = self._newest(self.run)
        if newest is None:
            if self.log is None:
                return
            self.log.cut(0)
            facts: dict[str, Any] = {"recipe": self.config.recipe, "data": self.config.data.spec}
            facts |= {"seed": self.config.seed, "version": self.config.version, "fingerprint": self.fingerprint}
            facts |= {"operations": {kind: cell.operations for kind, cell in state.parts.space.cells.items()}}
            self.log.append({"event": "start", "phase": "search", **facts})
            return
        tree: Any = newest.tree
        if tree["fingerprint"] != self.fingerprint:
            raise InputError(
                f"The data of the run {self.run.path} are not the same any more: it was searched on data with "
                f"fingerprint {tree['fingerprint'][:12]}, these have {self.fingerprint[:12]}."
            )
        state.load_state_dict(tree["state"])
        self.seconds, self.last = tree["seconds"], dict(tree["last"])
        self.collapsed, self.warnings = tree["collapsed"], list(tree["warnings"])
        if self.log:
            self.log.cut(tree["log_position"])
        for message in newest.skipped:
            self.warn(message)

    def __call__(self, kind: str, state: SearchState, record: dict[str, Any]) -> bool:
        """Handle one event; True asks the loop to stop."""
        if self.progress:
            self.progress(kind, state, record)
        if kind == "step":
            if state.step % self.config.log_every == 0 or state.step == 1:
                self.tell(kind, state, record)
            return agree(self.interrupted)
        if kind == "grown":
            self.tell(kind, state, record)
        if kind != "epoch":
            return False
        self.seconds += record["seconds"]
        record["peak_memory_mb"] = peak_memory_mb()
        if self.table:
            record["table"] = self.table.figures_of(Architecture.from_dict(record["architecture"]))
        if self.config.early_stop == "eigenvalue":
            record["monitor"]["eigenvalue"] = state.history[-1]["eigenvalue"] = choice_curvature(state)
        self.last = {key: record[key] for key in ("validation", "derived_validation", "epoch")}
        self.tell(kind, state, record)
        warning = record["monitor"]["warning"]
        if warning and warning not in self.warnings:
            self.warn(warning)
        sharp = self.config.early_stop == "eigenvalue" and stopping_epoch(state.history) is not None
        self.collapsed = agree(sharp or (self.config.early_stop == "collapse" and collapsed(record["monitor"])))
        due = state.epoch % self.config.checkpoint_every == 0 or state.epoch == self.config.epochs
        if due:
            self.save_epoch(state)
        stop = bool(self.on_epoch(state)) if self.on_epoch else False
        stop = agree(stop) or self.collapsed
        if stop and not due:
            self.save_epoch(state)
        return stop

    def tell(self, kind: str, state: SearchState, record: dict[str, Any]) -> None:
        """Write one event into the log, and forward its figures to the trackers."""
        event = {"event": kind, "phase": "search", **record}
        if self.log:
            self.log.append(event)
        self.tracking.forward(event, state.step)

    def save_epoch(self, state: SearchState) -> None:
        """Write the checkpoint of a whole epoch; those between epochs have then served."""
        if self.run is None or self.log is None:
            return
        self.save(state, checkpoint.epoch_name(state.epoch, EPOCH))
        for name in checkpoint.names(self.run.checkpoints, INTERRUPTED):
            shutil.rmtree(self.run.checkpoints / name)
        checkpoint.prune(self.run.checkpoints, keep=2, prefix=EPOCH)

    def save(self, state: SearchState, name: str) -> None:
        """Write a checkpoint of the whole search; the choices stay for good."""
        if self.run is None or self.log is None:
            return
        tree: Any = {
            "state": state.state_dict(),
            "space": self.config.space.spec(),
            "fingerprint": self.fingerprint,
            "log_position": self.log.position(),
            "seconds": self.seconds,
            "last": self.last,
            "collapsed": self.collapsed,
            "warnings": list(self.warnings),
        }
        light: Any = {"choices": dict(state.choices.state_dict()), "epoch": state.epoch, "step": state.step}
        if state.growing is not None:
            light["form"] = state.growing.form.to_dict()
        checkpoint.save(self.run.checkpoints, name, tree, light)

    def save_interrupted(self, state: SearchState) -> None:
        """Write a checkpoint between two epochs."""
        self.save(state, checkpoint.epoch_name(state.step, INTERRUPTED))

    def close(self) -> None:
        """Close the trackers and the log."""
        self.tracking.close()
        if self.log:
            self.log.close()

    def warn(self, message: str) -> None:
        """Keep a warning for the end and the log."""
        self.warnings.append(message)
        if self.log:
            self.log.append({"event": "warning", "message": message})

    def ask_to_stop(self) -> None:
        """Remember that the user wants the search to stop after the current step."""
        self.interrupted = True

    def _newest(self, run: RunDirectory) -> checkpoint.Newest | None:
        for prefix in (INTERRUPTED, EPOCH):
            if checkpoint.names(run.checkpoints, prefix):
                return checkpoint.load_newest(run.checkpoints, prefix)
        return None
