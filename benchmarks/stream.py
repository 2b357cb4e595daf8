"""``python -m benchmarks stream FILE.csv``: the error on a stream, every window forecast before it is learned from.

A cell that grows, a small and a large one that do not, and an LSTM of the large one's size, which learns by Adam; each
in a process of its own, whose memory is looked at every second. Called again it goes on with the arms that are missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import archgrad

__all__ = ["draw", "lstm_on", "main", "searched", "watched_memory"]

ARMS = ("growing", "small", "large", "lstm")


def resident_mb() -> float:
    """Return the memory that this process holds now, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@contextmanager
def watched_memory(every: float = 1.0) -> Iterator[list[tuple[float, float]]]:
    """Within it a list grows by (seconds since the start, MiB held)."""
    found: list[tuple[float, float]] = []
    over, started = threading.Event(), time.perf_counter()

    def look() -> None:
        while not over.wait(every):
            found.append((time.perf_counter() - started, resident_mb()))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        found.append((time.perf_counter() - started, resident_mb()))


def searched(options: argparse.Namespace) -> dict[str, Any]:
    """Search on the stream with one of the cells; return its errors, block by block."""
    nodes = options.start if options.arm == "small" else options.nodes
    settings = {
        "space.nodes": nodes,
        "supernet.hidden": options.hidden,
        "data.batch": options.batch,
        "data.window": options.window,
        "data.horizon": options.horizon,
        **({"growth.start": options.start} if options.arm == "growing" else {}),
        **options.settings,
    }
    recipe = "growing" if options.arm == "growing" else "darts"
    run = options.output / options.arm
    result = archgrad.online(recipe, data=f"csv:{options.file}", settings=settings, seed=options.seed, run=run)
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {
        "tested": result.tested,
        "prequential": result.prequential,
        "parameters": sum(weight.numel() for weight in result.state.weights.values()),
        "blocks": [
            (event["position"], event["prequential"]["mse"])
            for event in events
            if event["event"] == "block" and event["prequential"]
        ],
        "growths": [event["position"] for event in events if event["event"] == "grown"],
    }


def lstm_on(options: argparse.Namespace, parameters: int) -> dict[str, Any]:
    """Let an LSTM of so many parameters forecast and learn the same windows in the same order."""
    from archgrad.tasks.forecasting import ForecastTask
    from archgrad.tasks.forecasting_baselines import count, gated_of_size
    from archgrad.tasks.online_series import OnlineSeries, Rows, ticks

    rows = Rows(str(options.file))
    every = iter(rows)
    warmup = 4 * options.window
    first = list(islice(every, warmup))
    targets = tuple(range(len(rows.names)))
    sizes: dict[str, Any] = {"window": options.window, "horizon": options.horizon, "targets": targets}
    data = OnlineSeries(
        torch.from_numpy(np.stack(first)),
        name="stream",
        names=rows.names,
        anchor=True,
        block=20,
        device=torch.device("cpu"),
        **sizes,
    )
    torch.manual_seed(options.seed)
    network, task = gated_of_size(data, "lstm", parameters), ForecastTask(list(data.std))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    sums: dict[str, float] = {}
    blocks: list[tuple[int, float]] = []
    within: list[float] = []
    tested = 0
    stream = ticks(chain(first, every), batch=options.batch, scored_from=warmup, **sizes)
    for number, tick in enumerate(stream, start=1):
        if tick.test is not None:
            metrics = task.evaluate(network.eval(), [tick.test])
            tested += len(tick.test[0])
            sums = {name: sums.get(name, 0.0) + len(tick.test[0]) * value for name, value in metrics.items()}
            within.append(metrics["mse"])
        optimiser.zero_grad()
        task.loss(network.train()(tick.learn[0]), tick.learn[1]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if number % 20 == 0 and within:
            blocks.append((tick.position, sum(within) / len(within)))
            within = []
    means = {name: value / tested for name, value in sums.items()}
    return {"tested": tested, "prequential": means, "parameters": count(network), "blocks": blocks, "growths": []}


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the mean error so far over the windows, and the memory over the time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    errors, memory = figure.subplots(1, 2)
    for arm, row in found.items():
        positions, values = zip(*row["blocks"], strict=True)
        (line,) = errors.plot(positions, np.cumsum(values) / np.arange(1, len(values) + 1), label=arm)
        for growth in row["growths"]:
            errors.axvline(growth, color=line.get_color(), alpha=0.15)
        seconds, held = zip(*row["memory"], strict=True)
        memory.plot(np.array(seconds) / seconds[-1], held, label=arm)
    errors.set(xlabel="windows seen", ylabel="mean squared error so far, standardised")
    memory.set(xlabel="share of the stream's time", ylabel="memory of the process, MiB", ylim=(0, None))
    errors.legend(fontsize=7)
    figure.savefig(path)


def main(words: Sequence[str]) -> None:
    """Run every arm that is missing; print a table, write stream.json and stream.svg."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks stream", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="CSV with a line of names")
    parser.add_argument("--nodes", type=int, default=6, help="of the large cell, and of the growing one in the end")
    parser.add_argument("--start", type=int, default=2, help="nodes of the small cell, and of the growing one at first")
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--horizon", type=int, default=24)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", type=json.loads, default={}, help="of the searches, as JSON")
    parser.add_argument("--output", type=Path, default=Path("runs/stream"), help="folder")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.arm:
        with watched_memory() as memory:
            large = options.output / "large.json"
            equal = json.loads(large.read_text())["parameters"] if options.arm == "lstm" else 0
            found = lstm_on(options, equal) if options.arm == "lstm" else searched(options)
        found |= {"memory": memory, "seconds": memory[-1][0]}
        (options.output / f"{options.arm}.json").write_text(json.dumps(found))
        return
    rows = {}
    for arm in ARMS:
        path = options.output / f"{arm}.json"
        if not path.is_file():
            subprocess.run([sys.executable, "-m", "benchmarks", "stream", *words, "--arm", arm], check=True)
        rows[arm] = json.loads(path.read_text())
        late = rows[arm]["memory"][len(rows[arm]["memory"]) // 2 :]
        print(
            f"{arm:<9}mse {rows[arm]['prequential']['mse']:.4f}  mae {rows[arm]['prequential']['mae']:.4f}  "
            f"parameters {rows[arm]['parameters']:,}  seconds {rows[arm]['seconds']:.0f}  "
            f"MiB in the second half {min(m for _, m in late):.0f} to {max(m for _, m in late):.0f}  "
            f"growths {len(rows[arm]['growths'])}",
            flush=True,
        )
    (options.output / "stream.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, options.output / "stream.svg")
