"""``python -m benchmarks updates``: what one update of other recipes costs beside one of DARTS, first order.

An update is a choice step (gradients of the choices alone) and a weight step, or SNAS' joint step, on random images.
All take turns, so that whatever else the machine does meets them alike. Reported are the fastest repetition's
wall-clock and processor seconds, and the bytes that the last forward keeps for its backward, counted at two small
batches and continued to the whole.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from archgrad.api.settings import search_config
from archgrad.engine.problem import SearchProblem
from archgrad.engine.update import Streams, update
from archgrad.recipes.assemble import Assembled
from archgrad.supernet.fast.cell import as_for_batch
from archgrad.supernet.memory import saved_bytes

__all__ = ["CASES", "main", "measure"]

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "darts": ("darts", {}),
    "entrannas": ("entrannas", {}),
    "entrannas without sharing": ("entrannas", {"supernet.share_features": False}),
    "entrannas-dst": ("entrannas-dst", {}),
    "snas": ("snas", {}),
    "snas, no path dropped": ("snas", {"supernet.drop_path": 0.0}),
}
"""Name -> recipe and what is set besides."""

PROBES = (4, 8)
"""Batches at which the saved bytes are counted."""


class Case:
    """One search on random images, ready for its next update.

    Args:
        name: a key of :data:`CASES`.
        options: sizes, from the command line.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        recipe, settings = CASES[name]
        generator = torch.Generator().manual_seed(0)
        count = max(3 * options.batch, 96)
        images = torch.rand(count, 3, options.side, options.side, generator=generator)
        labels = torch.randint(10, (count,), generator=generator)
        labels[:10] = torch.arange(10)
        sizes = {
            "supernet.cells": options.cells,
            "supernet.channels": options.channels,
            "supernet.evaluation": options.evaluation,
            "data.batch": options.batch,
        }
        config = search_config(recipe, data=(images, labels), settings={**settings, **sizes})
        self.name, self.ready = name, Assembled(config, own_data=(images, labels))
        self.streams = Streams(self.ready.state)
        self.wall: list[float] = []
        self.processor: list[float] = []

    def step(self) -> None:
        """Do one update and note how long it took."""
        wall, processor = time.perf_counter(), time.process_time()
        update(self.ready.state, self.streams)
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)

    def bytes_saved(self, batch: int) -> float:
        """Return the bytes that a forward of the weights' batch keeps, at a batch size."""
        state = self.ready.state
        images, labels = next(self.ready.data.stream("weights"))
        mixings = SearchProblem(state, {"train": (images, labels)}).view().mixings
        supernet = state.supernet.train()
        counts = []
        for size in PROBES:
            x = images[:size]
            known = [*supernet.parameters(), *supernet.buffers(), *state.choices.parameters(), x]
            with as_for_batch(batch):
                counts.append(saved_bytes(lambda x=x: supernet(x, mixings), known))  # type: ignore[misc]
        slope = (counts[1] - counts[0]) / (PROBES[1] - PROBES[0])
        return counts[1] + slope * (batch - PROBES[1])


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one line per case; ratios are to the first."""
    cases = [Case(name, options) for name in options.cases]
    saved = [case.bytes_saved(options.batch) for case in cases]
    for repetition in range(options.repeats + 1):
        for case in cases:
            case.step()
            if repetition == 0:  # the first allocates and tunes
                case.wall.clear()
                case.processor.clear()
    lines = []
    for case, bytes_ in zip(cases, saved, strict=True):
        wall, processor = min(case.wall), min(case.processor)
        lines.append(
            {
                "case": case.name,
                "seconds": wall,
                "processor_seconds": processor,
                "saved_mb": bytes_ / 2**20,
                "time_ratio": wall / min(cases[0].wall),
                "processor_ratio": processor / min(cases[0].processor),
                "saved_ratio": bytes_ / saved[0],
            }
        )
    return lines


def main(arguments: list[str]) -> None:
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks updates", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=f"of {', '.join(CASES)}"
    )
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--evaluation", default="reference")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="write the table as JSON too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    lines = measure(options)
    print(f"{'':<27}{'s':>8}{'CPU s':>8}{'MB saved':>10}{'time':>7}{'CPU':>7}{'bytes':>7}")
    for line in lines:
        ratios = "".join(f"{line[name]:7.2f}" for name in ("time_ratio", "processor_ratio", "saved_ratio"))
        sizes = f"{line['seconds']:8.2f}{line['processor_seconds']:8.2f}{line['saved_mb']:10.0f}"
        print(f"{line['case']:<27}{sizes}{ratios}")
    if options.output:
        options.output.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")
