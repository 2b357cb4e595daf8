"""Progress on stderr: a bar on a terminal, one line an epoch where there is none."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from archgrad.cli.output import is_main

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar"]


class Bar:
    """Shows a search or a training; give it as ``progress=`` to the function that runs it.

    Args:
        what: what is shown, such as "search".
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.figures: dict[str, str] = {}
        self._progress: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        """Begin; with a terminal the bar moves until it is known how much there is to do."""
        if is_main() and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,  # what stays is the result
            )
            self._task = self._progress.add_task(f"{self.what}: reading data", total=None, figures="")
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the bar."""
        if self._progress:
            self._progress.stop()

    def __call__(self, kind: str, state: Any, record: Mapping[str, Any]) -> None:
        """Take one event of a search or a training: ("step" | "epoch" | "end", state, record)."""
        if kind not in ("step", "epoch"):
            return
        self.figures |= figures(record)
        epochs, steps = extent(state)
        if kind == "epoch" and self._progress is None and is_main():
            words = ", ".join(f"{name} {value}" for name, value in self.figures.items())
            print(f"{self.what} epoch {record['epoch']}/{epochs}: {words}, {record['seconds']:.1f} s", file=sys.stderr)
        if self._progress:
            self._progress.update(
                self._task,
                description=f"{self.what} epoch {record['epoch']}/{epochs}, step {state.step}",
                total=epochs * steps if steps else None,
                completed=state.step,
                figures=", ".join(f"{name} {value}" for name, value in self.figures.items()),
            )


def extent(state: Any) -> tuple[int, int | None]:
    """Return how many epochs there are, and the steps in each where they are known.

    Args:
        state: of a search or of a training.
    """
    if hasattr(state, "steps_per_epoch"):
        return state.parts.epochs, state.steps_per_epoch
    # a training knows its steps once it has done an epoch
    return state.settings.epochs, round(state.step / state.epoch) if state.epoch else None


def figures(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what of a record people watch, in words.

    Args:
        record: of a step or an epoch, as in log.jsonl.
    """
    found: dict[str, str] = {}
    for key, word in (("loss", "loss"), ("choice_loss", "choice loss")):
        if record.get(key) is not None:
            found[word] = f"{record[key]:.3f}"
    if record.get("train_accuracy") is not None:
        found["training accuracy"] = _share(record["train_accuracy"])
    for key, word in (("validation", "validation"), ("derived_validation", "derived")):
        metrics = record.get(key)
        name = next((name for name in metrics if name != "loss"), None) if metrics else None
        if metrics and name:
            found[f"{word} {name}"] = _share(metrics[name]) if name == "accuracy" else f"{metrics[name]:.4g}"
    return found


def _share(value: float) -> str:
    return f"{value:.1%}".replace("%", " %")
