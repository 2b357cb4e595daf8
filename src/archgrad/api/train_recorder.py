"""What listens to a training: writes the log and the checkpoints, calls the user's hook."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Any

from archgrad.api.tracking import Tracking
from archgrad.network.training import TrainState
from archgrad.processes import agree
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import Log

__all__ = ["PREFIX", "Hook", "Progress", "TrainRecorder"]

PREFIX = "train-"
"""How the checkpoints of a training are called, beside those of the search."""

KEPT = 2
"""Checkpoints that stay, so that one is left if the newest turns out damaged."""

Hook = Callable[[TrainState], object]
Progress = Callable[[str, TrainState, dict[str, Any]], None]


class TrainRecorder:
    """Listener of :func:`archgrad.network.training.train_network`.

    Args:
        config: of the training.
        run: where to write; None: nothing is written.
        facts: what a resumed training must find again, kept in every checkpoint: plain data.
        on_epoch: the user's hook, called with the state after every epoch; True ends the training.
        progress: shows what happens.
        tracking: experiment trackers, which get the figures of the log.
    """

    def __init__(
        self,
        config: SearchConfig,
        run: RunDirectory | None,
        facts: Mapping[str, Any],
        on_epoch: Hook | None = None,
        progress: Progress | None = None,
        tracking: Tracking | None = None,
    ) -> None:
        self.tracking = tracking or Tracking(phase="train")
        self.config, self.run, self.facts = config, run, dict(facts)
        self.on_epoch, self.progress = on_epoch, progress
        self.log: Log | None = run.open_log() if run else None
        self.interrupted = False
        self.seconds = 0.0

    def start(self, state: TrainState, resumed: checkpoint.Newest | None, words: Mapping[str, Any]) -> None:
        """Begin the log of a training, or cut it back to where the checkpoint was written.

        Args:
            state: as it starts, a resumed one as its checkpoint says.
            resumed: that checkpoint.
            words: what the first line of the log says.
        """
        if resumed is not None:
            tree: Any = resumed.tree
            self.seconds = tree["seconds"]
            if self.log:
                self.log.cut(tree["log_position"])
        elif self.run:
            self.save(state)  # before the first line, so that a resumed log begins with it too
        if self.log and state.step == 0:
            self.log.append({"event": "start", "phase": "train", **words})
        for message in resumed.skipped if resumed else ():
            self.warn(message)

    def __call__(self, kind: str, state: TrainState, record: dict[str, Any]) -> bool:
        """Handle one event; True asks for a stop."""
        if self.progress:
            self.progress(kind, state, record)
        if kind == "step":
            if state.step % self.config.log_every == 0 or state.step == 1:
                self.tell(kind, state, record)
            return agree(self.interrupted)
        self.seconds += record["seconds"]
        self.tell(kind, state, record)
        if state.epoch % self.config.checkpoint_every == 0 or state.epoch == state.settings.epochs:
            self.save(state)
        return agree(bool(self.on_epoch(state)) if self.on_epoch else False)

    def tell(self, kind: str, state: TrainState, record: dict[str, Any]) -> None:
        """Write one event into the log, and forward its figures to the trackers."""
        event = {"event": kind, "phase": "train", **record}
        if self.log:
            self.log.append(event)
        self.tracking.forward(event, state.step)

    def save(self, state: TrainState) -> None:
        """Write a checkpoint and remove older ones; within an epoch it takes the place of that epoch's beginning."""
        if self.run is None or self.log is None:
            return
        tree: Any = {
            **self.facts,
            "state": state.state_dict(),
            "log_position": self.log.position(),
            "seconds": self.seconds,
        }
        checkpoint.save(self.run.checkpoints, checkpoint.epoch_name(state.epoch, PREFIX), tree)
        for name in checkpoint.names(self.run.checkpoints, PREFIX)[:-KEPT]:
            shutil.rmtree(self.run.checkpoints / name, ignore_errors=True)

    def ask_to_stop(self) -> None:
        """Remember that the user wants the training to stop after the current step."""
        self.interrupted = True

    def warn(self, message: str) -> None:
        """Keep a warning in the log."""
        if self.log:
            self.log.append({"event": "warning", "message": message})

    def close(self) -> None:
        """Close the trackers and the log."""
        self.tracking.close()
        if self.log:
            self.log.close()
