"""What is compared: one list of figures for every table, and the row of a run, read from what lies in its folder.

A new figure is one line in :data:`FIGURES` and one entry of what a function in :data:`COLUMNS` returns. Importing this
imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from archgrad.runs.log import read

__all__ = ["COLUMNS", "FIGURES", "Figure", "Run", "Wanted", "baseline_rows", "higher_is_better", "row_of"]


@dataclass(frozen=True)
class Figure:
    """A figure that every run has one of.

    Args:
        name: its key in rows and tables.
        heading: of its column.
        better: which value is the best: the "lower", the "higher", or the better one as the run's "metric" has it.
    """

    name: str
    heading: str
    better: Literal["lower", "higher", "metric"]


FIGURES = (
    Figure("validation", "validation", "metric"),
    Figure("derived_validation", "derived cell", "metric"),
    Figure("supernet", "supernet, again", "metric"),
    Figure("child", "child", "metric"),
    Figure("gap", "gap", "lower"),
    Figure("random_children", "random children", "metric"),
    Figure("table", "table", "higher"),
    Figure("kendall", "Kendall", "higher"),
    Figure("spearman", "Spearman", "higher"),
    Figure("test", "test", "metric"),
    Figure("parameters", "parameters", "lower"),
    Figure("flops", "FLOPs", "lower"),
    Figure("choice_steps", "choice steps", "lower"),
    Figure("stable_since", "stable since", "lower"),
    Figure("search_seconds", "search, s", "lower"),
    Figure("train_seconds", "training, s", "lower"),
    Figure("peak_memory_mb", "memory, MiB", "lower"),
)
"""What is compared, in the order of the table."""


def higher_is_better(metric: str) -> bool:
    """Say whether the higher value of a metric is the better one: of accuracies it is, of errors it is not."""
    return "accuracy" in metric or metric in ("r2", "f1", "auc")


@dataclass(frozen=True)
class Wanted:
    """What is asked of every run beside its search.

    Args:
        children: random children of every supernet to judge beside the derived one.
        retrain: whether the found network is trained from scratch and tested.
        table: path of a table of trained cells in which the found one is looked up.
        rank: random cells of that table that the supernet judges, for its rank correlation.
        baselines: whether standard models of the trained network's size are measured beside it.
    """

    children: int = 0
    retrain: bool = True
    table: str | None = None
    rank: int = 0
    baselines: bool = False


@dataclass(frozen=True)
class Run:
    """One run of a comparison, done or not.

    Args:
        arm: name of its arm.
        recipe: of its arm.
        seed: of everything random.
        folder: its run directory.
        wanted: what is asked of it.
    """

    arm: str
    recipe: str
    seed: int
    folder: Path
    wanted: Wanted

    @cached_property
    def ends(self) -> dict[str, Any]:
        """The last end of each phase: a training that is done again is the one whose network lies there."""
        return {event["phase"]: event for event in self._events if event["event"] == "end"}

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        """The epochs of the search in order."""
        return [event for event in self._events if event["event"] == "epoch" and event["phase"] == "search"]

    @property
    def metric(self) -> str:
        """The task's first metric."""
        names: list[str] = list(self.ends["search"]["validation"])
        return next(name for name in names if name != "loss")

    @cached_property
    def _events(self) -> list[dict[str, Any]]:
        log = self.folder / "log.jsonl"
        return list(read(log)) if log.is_file() else []

    def note(self, name: str) -> Any:
        """Return what was written into a JSON file of the run, or None."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.is_file() else None


def searched(run: Run) -> dict[str, Any]:
    """Return what the end of the search says."""
    end, metric = run.ends["search"], run.metric
    return {
        "metric": metric,
        "validation": end["validation"][metric],
        "derived_validation": end["derived_validation"][metric],
        "search_seconds": end["search_seconds"],
        "peak_memory_mb": end["peak_memory_mb"],
    }


def watched(run: Run) -> dict[str, Any]:
    """Return what the monitor said of the last epoch: choice steps taken, epoch since which the cell is the same."""
    monitor = run.epochs[-1]["monitor"]
    return {"choice_steps": monitor["choice_steps"]["taken"], "stable_since": monitor["stable_since"]}


def costs(run: Run) -> dict[str, Any]:
    """Return parameters and FLOPs of the derived network at the training's size, trained or not."""
    return dict(run.note("costs.json") or {})


def judged(run: Run) -> dict[str, Any]:
    """Return supernet and child after the same estimation of batch-norm statistics, and how much the child loses."""
    found = run.note("children.json") if run.wanted.children else None
    if found is None:
        return {}
    metric = run.metric
    supernet, child = found["supernet"][metric], found["derived"][metric]
    return {
        "supernet": supernet,
        "child": child,
        "gap": supernet - child if higher_is_better(metric) else child - supernet,
        "random_children": mean(other[metric] for other in found["random"][: run.wanted.children]),
    }


def tabulated(run: Run) -> dict[str, Any]:
    """Return what the table says of the found cell, and the supernet's rank correlation with it."""
    if run.wanted.table is None:
        return {}
    from archgrad.api.compare_rank import correlations, table_of
    from archgrad.architecture import Architecture

    table = table_of(Path(run.wanted.table))
    row: dict[str, Any] = {"table": table.value(Architecture.load(run.folder / "architecture.json"))}
    found = run.note("ranking.json") if run.wanted.rank else None
    if found is not None:
        found = {"cells": found["cells"][: run.wanted.rank]}
        row |= correlations(found, table, run.metric, 1 if higher_is_better(run.metric) else -1)
    return row


def trained(run: Run) -> dict[str, Any]:
    """Return what the trained network is worth on the test part."""
    if not run.wanted.retrain or "train" not in run.ends:
        return {}
    end = run.ends["train"]
    metric = next(name for name in end["test"] if name != "loss")
    return {"test": end["test"][metric], "train_seconds": end["seconds"]}


COLUMNS: tuple[Callable[[Run], dict[str, Any]], ...] = (searched, watched, costs, judged, tabulated, trained)
"""What the row of a run is made of, in this order."""


def row_of(run: Run) -> dict[str, Any]:
    """Return the row of a run: what it is, and every figure that there is of it by now."""
    row: dict[str, Any] = {"arm": run.arm, "recipe": run.recipe, "seed": run.seed}
    if "search" in run.ends and (run.folder / "architecture.json").is_file():
        for column in COLUMNS:
            row |= column(run)
    return row


def baseline_rows(run: Run) -> list[dict[str, Any]]:
    """Return a row for every baseline measured beside a run's network, as if it were an arm of its own."""
    kept = run.note("baselines.json") if run.wanted.baselines else None
    return [
        {
            "arm": row["name"],
            "recipe": "baseline",
            "seed": run.seed,
            "metric": run.metric,
            "test": row["metrics"][run.metric],
            "parameters": row["parameters"],
            "train_seconds": row["seconds"],
        }
        for row in (kept or {"baselines": {}})["baselines"].values()
    ]
