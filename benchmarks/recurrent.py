"""``python -m benchmarks recurrent``: what a search step of a recurrent supernet costs, and what its arithmetic would.

``--size ptb`` is DARTS' search on the Penn Treebank: 35 steps, batch 256, 300 units, 10,000 words, on random tokens.
``--size forecast`` is a small forecaster: 96 steps, batch 64, 32 units, on random series. All variants take turns in
one process; the peak of the resident memory above that before the first update comes from a fresh process a variant.
``products`` are the matrix products of a weight step alone, forward and backward, and with text the decoder's loss.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from archgrad.api.recorder import peak_memory_mb
from archgrad.api.settings import search_config
from archgrad.engine.update import Streams, Update
from archgrad.recipes.assemble import Assembled
from archgrad.tasks.language import next_token_loss
from benchmarks.variants import child, circumstances

__all__ = ["SIZES", "Case", "main", "products"]

SIZES: dict[str, dict[str, int]] = {
    "ptb": {"steps": 35, "batch": 256, "hidden": 300, "words": 10_000},
    "forecast": {"steps": 96, "batch": 64, "hidden": 32, "words": 0},
}
"""Of the two cases; every number can be set by an option of its name. Without words it is a forecaster."""

VARIANTS = ("reference", "fast")
SERIES = 7
HORIZON = 24


def given(size: argparse.Namespace) -> dict[str, Any]:
    """Return random data and the settings of their size, for :func:`archgrad.api.settings.search_config`."""
    generator = np.random.default_rng(0)
    if size.words:
        names = [f"w{number}" for number in range(size.words - 2)]
        count = 6 * size.batch * size.steps
        parts = {part: generator.integers(0, len(names), count) for part in ("train", "validation", "test")}
        data: Any = {**parts, "vocabulary": names}
        settings = {"data.window": size.steps}
    else:
        data = generator.normal(size=(8 * size.batch + 4 * size.steps + 10 * HORIZON, SERIES)).cumsum(axis=0)
        settings = {"data.window": size.steps, "data.horizon": HORIZON}
    return {"data": data, "settings": {**settings, "data.batch": size.batch, "supernet.hidden": size.hidden}}


class Case:
    """One first-order search of DARTS, ready for its next update.

    Args:
        evaluation: "reference" or "fast".
        size: space, steps, batch, hidden and words.
    """

    def __init__(self, evaluation: str, size: argparse.Namespace) -> None:
        words = given(size)
        words["settings"]["supernet.evaluation"] = evaluation
        config = search_config("darts", space=size.space, **words)
        self.state = Assembled(config, own_data=words["data"]).state
        self.streams = Streams(self.state)

    def __call__(self) -> tuple[float, float]:
        """Do one update; return the processor seconds of its choice step and of its weight step."""
        step, times = Update(self.state, self.streams), [time.process_time()]
        step.choice_step()
        times.append(time.process_time())
        step.weight_gradients()
        step.weight_step()
        return times[1] - times[0], time.process_time() - times[1]


def products(size: argparse.Namespace) -> Callable[[], float]:
    """Return what computes the products of a weight step on ``darts-rnn`` and returns its processor seconds."""
    rows, hidden, nodes = size.batch, size.hidden, 8
    inputs = hidden if size.words else SERIES
    pairs = nodes * (nodes + 1) // 2
    s, w, g = torch.randn(rows, hidden), torch.randn(hidden, 2 * hidden), torch.randn(rows, 2 * hidden)
    both, enter = torch.randn(rows, inputs + hidden), torch.randn(inputs + hidden, 2 * hidden)
    states = torch.randn(size.steps * rows, hidden).requires_grad_()
    # small, as a network starts: far-off scores give subnormal numbers, which take thirty times as long
    embedding = torch.empty(max(1, size.words), hidden).uniform_(-0.1, 0.1).requires_grad_()
    bias = torch.zeros(max(1, size.words))
    targets = torch.randint(max(1, size.words), (size.steps * rows,))

    def run() -> float:
        start = time.process_time()
        for left, right, times in ((s, w, size.steps * pairs), (both, enter, size.steps)):
            for _ in range(times):
                left @ right, g @ right.mT, left.mT @ g
        if size.words:
            torch.autograd.grad(next_token_loss(states, embedding, bias, targets), [states, embedding])
        return time.process_time() - start

    return run


def main(words: Sequence[str]) -> None:
    """Print a table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks recurrent", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="forecast")
    for name in ("steps", "batch", "hidden", "words"):
        parser.add_argument(f"--{name}", type=int, help=f"in place of the size's {name}")
    parser.add_argument("--space", default="darts-rnn")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    size = parser.parse_args(words)
    for name, value in SIZES[size.size].items():
        setattr(size, name, value if getattr(size, name) is None else getattr(size, name))
    if size.child:
        case, before = Case(size.child, size), peak_memory_mb()
        case()
        case()
        print(json.dumps(peak_memory_mb() - before))  # by how much two updates raise the peak, in MiB
        return
    cases, alone = {name: Case(name, size) for name in size.variants}, products(size)
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in (*cases, "products")}
    for turn in range(size.rounds + 1):
        for name, case in cases.items():
            times[name].append(case())
        times["products"].append((0.0, alone()))
        if turn == 0:  # the first allocates and tunes
            for found in times.values():
                found.clear()
    print(", ".join(f"{name} {value}" for name, value in circumstances().items()))
    print(f"\n{'':<12}{'choice step, CPU s':>20}{'weight step, CPU s':>20}{'/ products':>12}{'peak, MiB':>12}")
    lines = []
    base = median(found[1] for found in times["products"])
    for name, found in times.items():
        choice, weight = (median(each) for each in zip(*found, strict=True))
        memory = child("recurrent", name, words) if name in cases else None
        lines.append({"variant": name, "choice": choice, "weight": weight, "peak_mib": memory, "rounds": found})
        shown = "" if memory is None else f"{memory:12,.0f}"
        print(f"{name:<12}{choice:20.2f}{weight:20.2f}{weight / base:12.2f}{shown}", flush=True)
    if size.json:
        size.json.write_text(json.dumps({**circumstances(), "lines": lines}, indent=1) + "\n", encoding="utf-8")
