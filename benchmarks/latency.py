"""``python -m benchmarks latency``: does the sum of measured operations rank networks as their own latency does?

Random cells of the DARTS space, each a network: its forward is measured, and predicted as the sum of the latencies of
what it is made of. What counts for a search is the rank correlation of the two.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import archgrad
from archgrad.choices import Choices, Progress, Softmax
from archgrad.engine.derive import TopEdges, derive

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


def run(count: int, seed: int, rounds: int, batch: int, device: str, **size: Any) -> dict[str, Any]:
    """Predict and measure so many random cells.

    Args:
        count: number of cells.
        seed: of the cells.
        rounds: how often every network is measured; the networks take turns, and the quickest turn of each counts:
            what else the machine does can only make a forward slower.
        batch: images in one forward.
        device: where.
        **size: ``cells``, ``channels``, ``input_shape`` and ``classes`` of the networks.
    """
    options: dict[str, Any] = {"batch": batch, "device": device, **size}
    architectures = random_cells(count, seed)
    predicted = [archgrad.predict_latency(cell, **options) for cell in architectures]
    build = {"cells": size["cells"], "channels": size["channels"], "classes": size["classes"]}
    networks = [archgrad.build(cell, in_channels=size["input_shape"][0], **build) for cell in architectures]
    turns = [
        [archgrad.measure_latency(net, input_shape=size["input_shape"], batch=batch, device=device) for net in networks]
        for _ in range(rounds)
    ]
    measured = np.min(turns, axis=0).tolist()
    flops = [archgrad.count_flops(network, size["input_shape"]) for network in networks]
    return {
        "cells": count,
        "seed": seed,
        "network": {**size, "batch": batch, "threads": torch.get_num_threads(), "torch": torch.__version__},
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
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of every network")
    parser.add_argument("--layers", type=int, default=8, metavar="N", help="cells in a network")
    parser.add_argument("--channels", type=int, default=16, metavar="N")
    parser.add_argument("--side", type=int, default=32, metavar="N", help="of the images, in pixels")
    parser.add_argument("--batch", type=int, default=8, metavar="N")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, metavar="FILE")
    given = parser.parse_args(words)
    found = run(
        given.cells,
        given.seed,
        given.rounds,
        given.batch,
        given.device,
        cells=given.layers,
        channels=given.channels,
        input_shape=(3, given.side, given.side),
        classes=10,
    )
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"rank correlation of predicted and measured latency: {found['rank_correlation']:.3f} ({given.cells} cells)")
    print(f"the same of multiply-adds and measured latency:     {found['rank_correlation_of_flops']:.3f}")
    print(
        f"correlation {found['correlation']:.3f}; predicted / measured {found['predicted_over_measured']:.2f} (median)"
    )
    print(f"measured {min(found['measured_ms']):.1f} to {max(found['measured_ms']):.1f} ms")
