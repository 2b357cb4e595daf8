"""``python -m benchmarks informed RUN...``: whether the informed schedule kept its promises in searches that were done.

It reads runs of a recipe with ``schedule=informed`` that logged every step (``--set log_every=1``) and prints for each
the ratio of skipped to taken choice steps over the last half against the asked one, the error of the exact balance
skipped - s * taken = ln(T_end / T_start) / ln 1.05, and the mean squared gradient at taken steps over that at all.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archgrad.engine.schedules.informed import MULTIPLIER
from archgrad.errors import InputError
from archgrad.reporting.record import read_record

__all__ = ["main", "measured"]


def measured(steps: Sequence[Mapping[str, Any]], ratio: float, start: float) -> dict[str, float]:
    """Return what a search's logged steps say about its schedule.

    Args:
        steps: every step's log line, in order.
        ratio: s, as it was asked.
        start: the first threshold.

    Raises:
        InputError: steps are missing, or their schedule tells nothing.
    """
    told = [step.get("schedule", {}) for step in steps]
    if not told or any("gradient_square" not in each for each in told) or len(told) != steps[-1]["step"]:
        raise InputError("Every step of the schedule is needed: search with schedule=informed and log_every=1.")
    taken = [now["taken"] > before["taken"] for now, before in zip(told, [{"taken": 0}, *told], strict=False)]
    squares = [each["gradient_square"] for each in told]
    late = taken[len(taken) // 2 :]
    balance = told[-1]["skipped"] - ratio * told[-1]["taken"]
    exact = math.log(told[-1]["threshold"] / start) / math.log(MULTIPLIER)
    settled = range(len(told) // 2, len(told))
    at_taken = [squares[k] for k in settled if taken[k]]
    return {
        "steps": len(told),
        "asked": ratio,
        "ratio of the last half": (len(late) - sum(late)) / max(1, sum(late)),
        "ratio": told[-1]["skipped"] / max(1, told[-1]["taken"]),
        "error of the balance": abs(balance - exact),
        "squared gradient, taken / all": _share([s for s, t in zip(squares, taken, strict=True) if t], squares),
        "the same, last half": _share(at_taken, [squares[k] for k in settled]),
    }


def _share(some: Sequence[float], everything: Sequence[float]) -> float:
    return statistics.fmean(some) / statistics.fmean(everything) if some else math.nan


def main(words: Sequence[str]) -> None:
    """Print what the runs say, one JSON object a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks informed", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    for run in parser.parse_args(words).runs:
        record = read_record(run)
        options = record.config["schedule"]
        found = measured(record.steps("search"), options["ratio"], options["start"])
        print(json.dumps({"run": record.name, **{key: float(f"{value:.4g}") for key, value in found.items()}}))
