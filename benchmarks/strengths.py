"""``python -m benchmarks strengths``: does what is found get quicker as the strength of the constraint rises?

One SNAS search per strength and seed with the latency of the operations in its loss; then the network of every derived
cell is measured, all of them in turns, the quickest turn of each counting. Writes strengths.json and strengths.svg;
called again with more strengths or seeds it searches only for these and measures all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import nn

import archgrad

__all__ = ["draw", "main", "measured", "run", "searched"]

FIGURES = ("validation", "milliseconds", "parameters", "flops")


def measured(networks: Sequence[nn.Module], shape: Sequence[int], batch: int, turns: int) -> list[float]:
    """Return the milliseconds of a forward of every network: all in turns, the quickest of each.

    Args:
        networks: to measure.
        shape: of one image.
        batch: images in a forward.
        turns: how often each is measured; what else the machine does can only make a forward slower.
    """
    rounds = [[archgrad.measure_latency(net, input_shape=shape, batch=batch) for net in networks] for _ in range(turns)]
    return [min(times) for times in zip(*rounds, strict=True)]


def searched(strength: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Search once; return what was found and the size of the network to measure it in."""
    resource = {"name": "resource", "kind": "latency", "strength": strength, "batch": options.batch}
    result = archgrad.search(
        "snas",
        data=options.data,
        seed=seed,
        epochs=options.epochs,
        settings={
            "supernet.cells": options.cells,
            "supernet.channels": options.channels,
            "supernet.drop_path": 0.0,
            **options.settings,
            **({"penalties.resource": resource} if strength else {}),
        },
    )
    data: Any = result.state.parts.data
    return {
        "strength": strength,
        "seed": seed,
        "validation": result.validation["accuracy"],
        "size": {
            "cells": options.cells,
            "channels": options.channels,
            "classes": len(data.classes),
            "input_shape": list(data.input_shape),
        },
        "architecture": result.architecture.to_dict(),
    }


def run(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Search for what is missing among the rows, and measure the networks of all of them.

    Args:
        options: of the command line.
        rows: of an earlier call; they are extended and get new times.
    """
    for strength in options.strengths:
        for seed in range(options.seeds):
            if not any((row["strength"], row["seed"]) == (strength, seed) for row in rows):
                rows.append(searched(strength, seed, options))
                print(f"strength {strength:g}, seed {seed}: validation {rows[-1]['validation']:.4f}", flush=True)
    rows.sort(key=lambda row: (row["strength"], row["seed"]))
    size = rows[0]["size"]
    shape = tuple(size["input_shape"])
    plan = {"cells": size["cells"], "channels": size["channels"], "classes": size["classes"]}
    cells = [archgrad.Architecture.from_dict(row["architecture"]) for row in rows]
    networks = [archgrad.build(cell, in_channels=shape[0], **plan) for cell in cells]
    times = measured(networks, shape, options.batch, options.turns)
    for row, network, milliseconds in zip(rows, networks, times, strict=True):
        row["milliseconds"] = milliseconds
        row["parameters"] = sum(parameter.numel() for parameter in network.parameters())
        row["flops"] = archgrad.count_flops(network, shape)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the measured latency over the strengths, one place each, a dot per seed and a line through the means."""
    from matplotlib.figure import Figure

    strengths = sorted({row["strength"] for row in rows})
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter([strengths.index(row["strength"]) for row in rows], [row["milliseconds"] for row in rows], alpha=0.6)
    means = [mean(row["milliseconds"] for row in rows if row["strength"] == strength) for strength in strengths]
    axes.plot(range(len(strengths)), means)
    axes.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
    axes.set_xlabel("strength of the latency constraint")
    axes.set_ylabel("measured latency of the derived network, ms")
    axes.set_ylim(bottom=0)
    figure.savefig(path)


def main(arguments: list[str]) -> None:
    """Search, measure, print the means; write strengths.json and strengths.svg."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks strengths", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 1e-3, 3e-3, 1e-2, 3e-2])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64, help="images in the forward whose latency counts")
    parser.add_argument("--turns", type=int, default=5, help="measurements of every network")
    parser.add_argument("--settings", type=json.loads, default={"choices.rate": 0.03, "weights.rate": 0.1})
    parser.add_argument("--output", type=Path, default=Path("."), help="folder")
    options = parser.parse_args(arguments)
    path = options.output / "strengths.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    run(options, rows)
    for strength in sorted({row["strength"] for row in rows}):
        chosen = [row for row in rows if row["strength"] == strength]
        words = "  ".join(f"{key} {mean(row[key] for row in chosen):.5g}" for key in FIGURES)
        print(f"strength {strength:<8g}{words}")
    made_by = {"version": archgrad.__version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    path.write_text(json.dumps({"made_by": made_by, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    draw(rows, options.output / "strengths.svg")
