"""``python -m benchmarks scaling``: how a weight step of the image supernet grows with each of its sizes.

One size after the other takes the values given, the others stay at their first; variants alternate in one process.
Next to the processor seconds (median) and the bytes kept for the backward stands the roofline of the step: the
floating-point operations of the reference, counted, over the speed of a large matrix product, and the bytes that the
variant's own kernels read and write, counted, over the speed of a large copy. A cache may beat the second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from archgrad.choices import Mixing, full_support
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.memory import saved_bytes
from benchmarks.counting import counted
from benchmarks.step import peak
from benchmarks.variants import circumstances

__all__ = ["SIZES", "Case", "bandwidth", "main", "points"]

SIZES: dict[str, tuple[int, ...]] = {
    "cells": (3, 5),
    "channels": (4, 8, 16),
    "nodes": (2, 3, 4),
    "candidates": (8, 4, 6),
    "batch": (8, 16, 32),
}
"""Size -> the values it takes; the first is what it has while another is varied."""

VARIANTS = ("reference", "fast")
MEGA = 1e6


class Case:
    """One supernet of the given sizes with full mixings, and its weight step.

    Args:
        variant: how it is evaluated.
        sizes: a value for each of :data:`SIZES`; of the candidates the first so many of the space.
        side: of the images.
    """

    def __init__(self, variant: str, sizes: dict[str, int], side: int) -> None:
        torch.manual_seed(0)
        names = DartsSpace()().cells["normal"].operations[: sizes["candidates"]]
        space = DartsSpace(nodes=sizes["nodes"], operations=names)()
        self.net = ImageSupernet(space, cells=sizes["cells"], channels=sizes["channels"], evaluation=variant)
        self.mixings = {
            kind: Mixing(torch.rand(len(cell.edges), len(names)), full_support(len(cell.edges), len(names)))
            for kind, cell in space.cells.items()
        }
        self.x = torch.rand(sizes["batch"], 3, side, side)
        self.seconds: list[float] = []

    def forward(self) -> Tensor:
        """Return a loss."""
        out: Tensor = self.net(self.x, self.mixings)
        return out.square().mean()

    def step(self) -> None:
        """Run forward and backward, and note the processor seconds."""
        start = time.process_time()
        torch.autograd.grad(self.forward(), list(self.net.parameters()), allow_unused=True)
        self.seconds.append(time.process_time() - start)

    def kept(self) -> float:
        """Return the bytes kept for the backward, in MB."""
        return saved_bytes(self.forward, [self.x, *self.net.parameters(), *self.net.buffers()]) / MEGA


def bandwidth() -> float:
    """Return bytes read and written per processor second by a copy of 64 MB."""
    a, b, seconds = torch.rand(2**24), torch.rand(2**24), []
    for _ in range(7):
        start = time.process_time()
        b.copy_(a)
        seconds.append(time.process_time() - start)
    return 2 * 4 * 2**24 / min(seconds)


def points(sizes: dict[str, Sequence[int]]) -> list[tuple[str, dict[str, int]]]:
    """Return (which size is varied, all sizes), the point that all share once."""
    base = {name: values[0] for name, values in sizes.items()}
    varied = [(name, base | {name: value}) for name, values in sizes.items() for value in values[1:]]
    return [("base", base), *varied]


def measure(sizes: dict[str, int], given: argparse.Namespace, speed: float, copies: float) -> dict[str, Any]:
    """Return the figures of every variant at one point."""
    cases = {name: Case(name, sizes, given.side) for name in VARIANTS}
    counter = FlopCounterMode(display=False)
    with counter:
        cases["reference"].step()
    found: dict[str, Any] = {"arithmetic": counter.get_total_flops() / speed}
    cases["fast"].step()  # makes what is made once
    traffic = {name: counted(case.step) for name, case in cases.items()}
    for case in cases.values():
        case.seconds.clear()
    for _ in range(given.rounds):
        for case in cases.values():
            case.step()
    for name, case in cases.items():
        found[name] = {
            "seconds": statistics.median(case.seconds),
            "spread": [min(case.seconds), max(case.seconds)],
            "kept_mb": case.kept(),
            "kernels": traffic[name].kernels.total(),
            "traffic": traffic[name].bytes / copies,
        }
    return found


def main(words: Sequence[str]) -> None:
    """Print a table, and JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    for name, values in SIZES.items():
        parser.add_argument(f"--{name}", type=int, nargs="+", default=list(values), help="the first is the base")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args(words)
    speed, copies = peak(), bandwidth()
    result: dict[str, Any] = {**circumstances(), "side": given.side, "rounds": given.rounds, "points": []}
    result |= {"flops_per_second": speed, "bytes_per_second": copies}
    print(", ".join(f"{name} {value}" for name, value in circumstances().items()))
    print(f"matrix product {speed / 1e9:.0f} GFLOP/s, copy {copies / 1e9:.1f} GB/s\n")
    columns = ["s (spread)", "kept MB", "kernels", "traffic s"]
    header = ["point", "arithmetic s", *(f"{name}: {column}" for name in VARIANTS for column in columns)]
    print("| " + " | ".join([*header, "time ratio", "bytes ratio"]) + " |")
    print("|---" + "|---:" * (len(header) + 1) + "|")
    for name, sizes in points({name: getattr(given, name) for name in SIZES}):
        found = measure(sizes, given, speed, copies)
        result["points"].append({"varied": name, "sizes": sizes, **found})
        label = ", ".join(f"{k} {v}" for k, v in sizes.items()) if name == "base" else f"{name} {sizes[name]}"
        line = [label, f"{found['arithmetic']:.3f}"]
        for variant in VARIANTS:
            each = found[variant]
            low, high = each["spread"]
            line += [f"{each['seconds']:.3f} ({low:.3f}-{high:.3f})", f"{each['kept_mb']:.1f}", f"{each['kernels']:,}"]
            line.append(f"{each['traffic']:.3f}")
        one, other = (found[variant] for variant in VARIANTS)
        line += [f"{one['seconds'] / other['seconds']:.2f}", f"{one['kept_mb'] / other['kept_mb']:.2f}"]
        print("| " + " | ".join(line) + " |", flush=True)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
