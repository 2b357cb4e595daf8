"""``python -m benchmarks derived``: what training a derived recurrent cell costs, by its loop and as one function.

Forward and backward of a forecaster on random series, both ways in turns in one process, medians of processor seconds.
The cell is a published one, or ``gru``, which is a cell of ``two-input-rnn``. With ``--flush`` the processor takes
denormal numbers for 0 all the time; the one function does so in its backward pass anyway.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.network.build import build
from archgrad.network.recurrent_cells import Recurrence, step_by_step
from archgrad.network.recurrent_training import over_time
from archgrad.published import published
from benchmarks.counting import counted
from benchmarks.variants import circumstances

__all__ = ["WAYS", "gru", "main"]

WAYS: dict[str, Callable[..., tuple[torch.Tensor, torch.Tensor]]] = {"loop": step_by_step, "one function": over_time}
SERIES, HORIZON = 7, 24


def gru() -> Architecture:
    """Return a cell of the form of a gated recurrent unit: h = z * h' + (1 - z) * n, the 1 - z a gate of its own."""
    edges = [(0, 2, "identity", "a"), (1, 2, "identity", "b"), (2, 3, "sigmoid", "a"), (1, 3, "identity", "b")]
    edges += [(0, 4, "identity", "a"), (1, 4, "identity", "b"), (4, 5, "sigmoid", "a"), (1, 5, "identity", "b")]
    edges += [(0, 6, "identity", "a"), (5, 6, "identity", "b"), (2, 7, "sigmoid", "a"), (6, 7, "tanh", "b")]
    edges += [(3, 8, "identity", "a"), (7, 8, "identity", "b")]
    combine = ("add", "multiply", "add", "multiply", "add", "multiply", "add")
    cell = Cell(2, 7, tuple(Edge(*edge) for edge in edges), (8,), "last", combine=combine)
    return Architecture("two-input-rnn", {"recurrent": cell}, {"pool_norm": False, "node_norm": False})


def main(words: Sequence[str]) -> None:
    """Print a table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks derived", description=__doc__.splitlines()[0])
    parser.add_argument("--cell", default="DARTS_RNN_V2", help="a published recurrent cell, or gru")
    for name, value in {"hidden": 32, "batch": 128, "steps": 96, "rounds": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--flush", action="store_true", help="take denormal numbers for 0 in the loop too")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    size = parser.parse_args(words)
    torch.manual_seed(0)
    torch.set_flush_denormal(size.flush)
    architecture = gru() if size.cell == "gru" else published(size.cell)
    network = build(architecture, hidden=size.hidden, inputs=SERIES, horizon=HORIZON)
    cores = [module for module in network.modules() if isinstance(module, Recurrence)]
    x, y = torch.randn(size.batch, size.steps, SERIES), torch.randn(size.batch, HORIZON, SERIES)

    def step(way: str) -> float:
        for core in cores:
            core.over_time = WAYS[way]
        network.zero_grad()
        start = time.process_time()
        (network(x) - y).square().mean().backward()
        return time.process_time() - start

    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(size.rounds + 1):
        for way, found in times.items():
            seconds = step(way)
            if turn:  # the first allocates
                found.append(seconds)
    torch.set_flush_denormal(False)
    print(", ".join(f"{name} {value}" for name, value in circumstances().items()))
    print(f"\n{'':<14}{'operations':>12}{'CPU ms':>10}{'as fast':>10}")
    lines, base = [], median(times["loop"])
    for way, found in times.items():
        counts = counted(lambda way=way: step(way))  # type: ignore[misc]
        operations, seconds = counts.kernels.total() + counts.views, median(found)
        lines.append({"way": way, "operations": operations, "seconds": seconds, "rounds": found})
        print(f"{way:<14}{operations:12,}{1e3 * seconds:10.0f}{base / seconds:10.1f}", flush=True)
    if size.json:
        size.json.write_text(json.dumps({**circumstances(), "lines": lines}, indent=1) + "\n", encoding="utf-8")
