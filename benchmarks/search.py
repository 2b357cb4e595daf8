"""``python -m benchmarks search``: seconds of a whole short search by what they are spent on.

Every phase's own seconds, without those of a phase inside it, so that they add up to the whole.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.variants import circumstances

__all__ = ["Phases", "main"]


class Phases:
    """Seconds by phase; phases may lie in each other.

    Attributes:
        found: phase -> [wall seconds, processor seconds, how often].
    """

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}
        self._inner: list[list[float]] = [[0.0, 0.0]]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens within towards a phase."""
        start = time.perf_counter(), time.process_time()
        self._inner.append([0.0, 0.0])
        try:
            yield
        finally:
            whole = time.perf_counter() - start[0], time.process_time() - start[1]
            inner, total = self._inner.pop(), self.found.setdefault(name, [0.0, 0.0, 0.0])
            for clock in (0, 1):
                total[clock] += whole[clock] - inner[clock]
                self._inner[-1][clock] += whole[clock]
            total[2] += 1

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, each of its calls a phase."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                return function(*args, **kwargs)

        return wrapped


def watched() -> list[tuple[str, Any, str]]:
    """Return (phase, where a function hangs, its name there)."""
    from archgrad.api import search as api
    from archgrad.api.recorder import Recorder
    from archgrad.engine import loop
    from archgrad.engine.update import Update
    from archgrad.recipes.assemble import Assembled

    return [
        ("data and supernet", Assembled, "__init__"),
        ("choice steps", Update, "choice_step"),
        ("weight gradients", Update, "weight_gradients"),
        ("joint gradients", Update, "joint_gradients"),
        ("weight steps", Update, "weight_step"),
        ("validation and derivation", loop, "look"),
        ("log and checkpoints", Recorder, "__call__"),
        ("result", api, "_finish"),
    ]


def main(words: Sequence[str]) -> None:
    """Print a table, and JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks search", description=__doc__)
    parser.add_argument("--recipe", default="entrannas")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--limit", type=int, default=400, help="training images")
    parser.add_argument("--evaluation", default="fast")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args(words)
    sizes = {name: getattr(given, name) for name in ("recipe", "data", "epochs", "cells", "channels", "limit")}
    sizes["evaluation"] = given.evaluation
    phases = Phases()
    with phases.phase("imports"):
        import archgrad

        found = watched()
    settings = {
        "supernet.cells": given.cells,
        "supernet.channels": given.channels,
        "supernet.evaluation": given.evaluation,
        "data.limit": given.limit,
    }
    with ExitStack() as stack:
        for name, owner, attribute in found:
            stack.enter_context(mock.patch.object(owner, attribute, phases.timed(name, getattr(owner, attribute))))
        run = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
        with phases.phase("everything else"):
            archgrad.search(given.recipe, data=given.data, epochs=given.epochs, seed=0, run=run, settings=settings)
    print(", ".join(f"{name} {value}" for name, value in (sizes | circumstances()).items()) + "\n")
    wall, processor = (sum(each[clock] for each in phases.found.values()) for clock in (0, 1))
    print("| phase | times | processor s | share | wall s |\n|---|---:|---:|---:|---:|")
    for name, (its_wall, its_processor, count) in sorted(phases.found.items(), key=lambda entry: -entry[1][1]):
        print(f"| {name} | {count:.0f} | {its_processor:.2f} | {its_processor / processor:.0%} | {its_wall:.2f} |")
    print(f"| all | | {processor:.2f} | | {wall:.2f} |")
    if given.json:
        given.json.write_text(json.dumps({"sizes": sizes, **circumstances(), "phases": phases.found}, indent=1) + "\n")
