"""Anytime curves: what the cell that would be derived now is worth, against the time and the images that it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archgrad.api.compare_figures import Run
from archgrad.errors import ArchgradError
from archgrad.runs.directory import RunDirectory

__all__ = ["curve_of", "images_per_step"]


def images_per_step(taken: int, updates: int, joint: bool) -> float:
    """Return how many batches an update sees on average: one for the weights, and one for the choices where they step.

    Args:
        taken: choice steps.
        updates: updates.
        joint: whether weights and choices share their batch.
    """
    return 1.0 if joint or not updates else 1.0 + taken / updates


def curve_of(run: Run) -> list[dict[str, Any]]:
    """Return a point for every epoch of a search that has begun.

    Args:
        run: whose log is read.

    Returns:
        ``arm``, ``seed``, ``epoch``, ``seconds`` (searching so far, evaluations included), ``images`` (that the steps
        of weights and choices saw so far), ``value``: the metric of the currently derived cell with inherited weights
        on the validation part, or what the comparison's table says of that cell.
    """
    if not run.epochs:
        return []
    try:
        config = RunDirectory.open(run.folder).read_config()
    except ArchgradError:
        return []
    metric = next(name for name in run.epochs[0]["derived_validation"] if name != "loss")
    points, seconds = [], 0.0
    for epoch in run.epochs:
        seconds += epoch["seconds"]
        steps = epoch["monitor"]["choice_steps"]
        updates = steps["taken"] + steps["skipped"]
        value = _looked_up(run, epoch["architecture"], epoch["derived_validation"][metric])
        if value is None:
            continue
        batches = updates * images_per_step(steps["taken"], updates, config.schedule.name == "joint")
        points.append(
            {
                "arm": run.arm,
                "seed": run.seed,
                "epoch": epoch["epoch"],
                "seconds": seconds,
                "images": round(batches * config.data.batch),
                "value": value,
            }
        )
    return points


def _looked_up(run: Run, architecture: dict[str, Any], otherwise: float) -> float | None:
    """Return what the table says of a cell, if there is a table; None where it does not know the cell."""
    if run.wanted.table is None:
        return otherwise
    from archgrad.api.compare_rank import table_of
    from archgrad.architecture import Architecture

    return table_of(Path(run.wanted.table)).value(Architecture.from_dict(architecture))
