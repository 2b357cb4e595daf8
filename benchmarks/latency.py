"""``python -m benchmarks latency``: does the sum of measured operations rank networks as their own latency does?

Random cells of the DARTS space, each a network: its forward is measured, and predicted as the sum of the latencies of
what it is made of. What counts for a search is the rank correlation of the two.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import archgrad
from archgrad.choices import Choices, Progress, Softmax
from archgrad.engine.derivations.derive import TopEdges, derive
from archgrad.network.build import blueprint
from archgrad.network.latency import LatencyTable, network_latency
from archgrad.tasks.data import find_device

__all__ = ["main", "pearson", "random_cells", "rank_correlation", "run"]


def random_cells(count: int, seed: int) -> list[archgrad.Architecture]:
    """Return uniformly random cells: two edges into every node, each with any operation but ``none``."""
    space, relaxation = archgrad.space.get("darts"), Softmax(deviation=1.0)
    generator = torch.Generator().manual_seed(seed)
    drawn = [Choices(space, relaxation, generator) for _ in range(count)]
    return [derive(choices, relaxation, Progress(), TopEdges(), space) for choices in drawn]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Spearman's correlation: Pearson's of the ranks; equal values do not happen in measurements."""
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (one, other)]
    return pearson(*ranks)


def pearson(one: Any, other: Any) -> float:
    """Return the correlation of two rows of numbers."""
    return float(np.asarray(np.corrcoef(one, other))[0, 1])


def run(
    count: int, seed: int, rounds: int, batch: int, device: str, cells: int, channels: int, side: int
) -> dict[str, Any]:
    """Predict and measure so many random cells.

    Args:
        count: number of cells.
        seed: of the cells.
        rounds: how often everything is measured, operations and networks in turns; the quickest turn of each counts:
            what else the machine does can only make a forward slower.
        batch: images in one forward.
        device: where.
        cells: in a network.
        channels: of a network's first cell.
        side: of the images, in pixels.
    """
    size: dict[str, Any] = {"cells": cells, "channels": channels, "classes": 10}
    architectures, shape = random_cells(count, seed), (3, side, side)
    plans = [blueprint(architecture, in_channels=shape[0], **size) for architecture in architectures]
    networks = [archgrad.build(architecture, in_channels=shape[0], **size) for architecture in architectures]
    quickest: dict[str, float] = {}
    turns = []
    for _ in range(rounds):
        with TemporaryDirectory() as folder:  # nothing is taken from the cache: every round measures anew
            table = LatencyTable(find_device(device), batch, folder=Path(folder))
            for plan in plans:
                network_latency(table, plan, (side, side))
        quickest = {key: min(ms, quickest.get(key, ms)) for key, ms in table.used.items()}
        turns.append([archgrad.measure_latency(net, input_shape=shape, batch=batch, device=device) for net in networks])
    table.used.update(quickest)
    predicted = [network_latency(table, plan, (side, side)) for plan in plans]
    measured = np.min(turns, axis=0).tolist()
    flops = [archgrad.count_flops(network, shape) for network in networks]
    return {
        "cells": count,
        "seed": seed,
        "network": {
            **size,
            "input_shape": shape,
            "batch": batch,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
        "rank_correlation": rank_correlation(predicted, measured),
        "correlation": pearson(predicted, measured),
        "rank_correlation_of_flops": rank_correlation(flops, measured),
        "predicted_over_measured": float(np.median(np.divide(predicted, measured))),
        "predicted_ms": predicted,
        "measured_ms": measured,
        "flops": flops,
    }


def main(words: list[str]) -> None:
    """Read the options, measure, print; ``--output FILE`` keeps everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks latency", description=__doc__)
    parser.add_argument("--cells", type=int, default=30, metavar="N", help="random cells")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of every operation and network")
    parser.add_argument("--layers", type=int, default=8, metavar="N", help="cells in a network")
    parser.add_argument("--channels", type=int, default=16, metavar="N")
    parser.add_argument("--side", type=int, default=32, metavar="N", help="of the images, in pixels")
    parser.add_argument("--batch", type=int, default=8, metavar="N")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, metavar="FILE")
    given = parser.parse_args(words)
    size = {"cells": given.layers, "channels": given.channels, "side": given.side}
    found = run(given.cells, given.seed, given.rounds, given.batch, given.device, **size)
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"rank correlation of predicted and measured latency: {found['rank_correlation']:.3f} ({given.cells} cells)")
    print(f"the same of multiply-adds and measured latency:     {found['rank_correlation_of_flops']:.3f}")
    print(
        f"correlation {found['correlation']:.3f}; predicted / measured {found['predicted_over_measured']:.2f} (median)"
    )
    print(f"measured {min(found['measured_ms']):.1f} to {max(found['measured_ms']):.1f} ms")
