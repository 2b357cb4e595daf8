"""``python -m benchmarks step``: seconds of a weight step and a choice step of the image supernet.

All variants run in one process, alternating, so that a busy machine slows all of them alike. Ratios are the median of
each round's own; processor seconds suffer less from other work than wall seconds. ``arithmetic`` is the floating-point
operations of the naive step, counted, over the speed of a large matrix product, measured: what no evaluation can beat
without computing less.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.variants import Step, circumstances, options

__all__ = ["main"]


def peak() -> float:
    """Return floating-point operations per processor second of a matrix product of 1024 x 1024."""
    a, b = torch.rand(2, 1024, 1024)
    seconds = []
    for _ in range(9):
        start = time.process_time()
        a @ b
        seconds.append(time.process_time() - start)
    return 2 * 1024**3 / min(seconds)


def measure(steps: dict[str, Step], choices: bool, rounds: int) -> dict[str, Any]:
    """Return wall and processor seconds of every variant, one entry a round."""
    found: dict[str, Any] = {name: {"wall": [], "processor": []} for name in steps}
    for index in range(rounds + 1):
        for name, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step(choices)
            if index:  # the first round only warms up
                found[name]["wall"].append(time.perf_counter() - wall)
                found[name]["processor"].append(time.process_time() - processor)
    return found


def main(words: Sequence[str]) -> None:
    """Print a table, and JSON where asked."""
    given = options(words, __doc__)
    steps = {name: Step(name, given) for name in given.variants}
    counter = FlopCounterMode(display=False)
    with counter:
        Step("naive", given)(choices=False)
    arithmetic = counter.get_total_flops() / peak()
    sizes = {name: getattr(given, name) for name in ("cells", "channels", "batch", "side", "rounds")}
    result: dict[str, Any] = {"sizes": sizes, **circumstances(), "arithmetic": arithmetic, "steps": {}}
    print(", ".join(f"{name} {value}" for name, value in (sizes | circumstances()).items()))
    print(f"arithmetic of a weight step alone: {arithmetic:.3f} processor seconds\n")
    header = [
        "step",
        "variant",
        "processor s (spread)",
        "wall s (spread)",
        *(f"{name} / it" for name in given.variants[:-1]),
    ]
    print("| " + " | ".join(header) + " |\n|" + "---|" * 2 + "---:|" * (len(header) - 2))
    for kind, choices in (("weights", False), ("choices", True)):
        found = result["steps"][kind] = measure(steps, choices, given.rounds)
        for name, each in found.items():
            times = [
                f"{statistics.median(each[clock]):.3f} ({min(each[clock]):.3f}-{max(each[clock]):.3f})"
                for clock in ("processor", "wall")
            ]
            ratios = []
            for other in given.variants[:-1]:
                pairs = zip(found[other]["processor"], each["processor"], strict=True)
                ratios.append(f"{statistics.median(a / b for a, b in pairs):.2f}")
            print("| " + " | ".join([kind, name, *times, *ratios]) + " |")
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
