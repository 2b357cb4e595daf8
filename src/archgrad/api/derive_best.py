"""Which of a search's cells to take: the derived cell of every epoch has a score on data that no step learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archgrad.api.compare_figures import higher_is_better
from archgrad.errors import InputError
from archgrad.runs import checkpoint
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import read

__all__ = ["Best", "best_epoch"]


@dataclass(frozen=True)
class Best:
    """The epoch whose derived cell is worth most, and why.

    The score is ``derived_validation``: the cell with the supernet's weights, its batch-norm statistics estimated
    again, on the validation part, of which neither weights nor choices learn. It is no accuracy after training, only
    the best judge that a search has for nothing.

    Args:
        epoch: counted from 1; of equal scores the latest, whose weights have learned longest.
        metric: the task's first metric.
        value: its score.
        last: the last epoch that could be derived from.
        last_value: the score there.
        epochs: how many were looked at.
        cells: how many different cells they derived.
    """

    epoch: int
    metric: str
    value: float
    last: int
    last_value: float
    epochs: int
    cells: int

    @property
    def why(self) -> str:
        """The reason in plain words."""
        how = "highest" if higher_is_better(self.metric) else "lowest"
        found = f"{self.epochs} epochs derived {self.cells} different cell{'s' * (self.cells != 1)}"
        if self.epoch == self.last:
            against = "it is the last one"
        else:
            against = f"the last one, of epoch {self.last}, has {self.last_value:.4g}"
        return (
            f"Epoch {self.epoch}: its cell has the {how} validation {self.metric}, {self.value:.4g}, on data that "
            f"neither weights nor choices learned from; {against}. {found}."
        )


def best_epoch(run: str | Path) -> Best:
    """Return the epoch whose derived cell has the best score among those that can still be derived from.

    Args:
        run: the run directory.

    Raises:
        InputError: no run, or none of its epochs has a score and a checkpoint.
    """
    directory = RunDirectory.open(run)
    kept = {int(name.rpartition("-")[2]) for name in checkpoint.names(directory.checkpoints)}
    epochs = [event for event in _epochs(directory) if event["epoch"] in kept]
    metric = next((name for event in epochs for name in event["derived_validation"] if name != "loss"), "loss")
    scores = {event["epoch"]: float(event["derived_validation"][metric]) for event in epochs}
    scores = {epoch: score for epoch, score in scores.items() if math.isfinite(score)}
    if not scores:
        raise InputError(
            f"The run {run} has no epoch yet whose derived cell was judged and can be derived again. "
            f"Go on with it: archgrad search --resume --run {run}"
        )
    sign = 1 if higher_is_better(metric) else -1
    best, last = max(scores, key=lambda epoch: (sign * scores[epoch], epoch)), max(scores)
    cells = {str(event["architecture"]["cells"]) for event in epochs if event["epoch"] in scores}
    return Best(best, metric, scores[best], last, scores[last], len(scores), len(cells))


def _epochs(directory: RunDirectory) -> list[dict[str, Any]]:
    """Return the epochs of the search that the log tells of."""
    if not directory.log.is_file():
        return []
    return [event for event in read(directory.log) if event["event"] == "epoch" and event["phase"] == "search"]
