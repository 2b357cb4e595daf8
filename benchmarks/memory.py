"""``python -m benchmarks memory``: what a step of the image supernet keeps.

Two figures a variant: the bytes that the forward saves for its backward (every storage once, counted by hooks, without
weights and batch), and the peak of the resident memory above that before the step, in a fresh process of its own.
``--forecast RECIPE`` asks instead how good the forecast of ``archgrad search --dry-run`` is: what it says for the whole
process against the peak of the resident memory of one that makes a few updates, both fresh, at each of ``--batches``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import torch

from archgrad.api.forecast import forecast
from archgrad.api.recorder import peak_memory_mb
from archgrad.api.settings import search_config
from archgrad.engine.update import Streams, update
from archgrad.recipes.assemble import Assembled
from archgrad.supernet.memory import saved_bytes
from benchmarks.variants import Step, child, circumstances, options

__all__ = ["main"]

MEGA = 1e6
UPDATES = 3


def resident() -> float:
    """Return the largest resident memory so far, in MB."""
    return peak_memory_mb() * 2**20 / MEGA


def kept(given: argparse.Namespace) -> dict[str, float]:
    """Return the figures of one variant, in MB."""
    step, before = Step(given.child, given), resident()
    step(choices=False)
    peak = resident() - before
    saved = {
        f"saved_{kind}": saved_bytes(lambda choices=choices: step.forward(choices), step.known) / MEGA  # type: ignore[misc]
        for kind, choices in (("weights", False), ("choices", True))
    }
    return {**saved, "peak_weights": peak}


def searched(given: argparse.Namespace) -> dict[str, float]:
    """Return what is forecast for a recipe on random images, or what a few updates of it really take, in MB."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4 * given.batch, 3, given.side, given.side, generator=generator)
    data = images, torch.arange(len(images)) % 10
    sizes = {"supernet.cells": given.cells, "supernet.channels": given.channels, "data.batch": given.batch}
    if given.child == "forecast":
        found: dict[str, float] = forecast(given.forecast, data=data, settings=sizes)["memory_mb"]
        return {name: value * 2**20 / MEGA for name, value in found.items()}
    state = Assembled(search_config(given.forecast, data=data, settings=sizes), own_data=data).state
    before, streams = resident(), Streams(state)
    for _ in range(UPDATES):
        update(state, streams)
    return {"before": before, "peak": resident()}


def forecasts(given: argparse.Namespace, passed: Sequence[str]) -> dict[str, Any]:
    """Print and return forecast and peak at every batch size."""
    found: dict[str, Any] = {}
    header = ["batch", "before (MB)", "forecast (MB)", "measured (MB)", "ratio", "ratio above what was before"]
    print("| " + " | ".join(header) + " |\n" + "|---:" * len(header) + "|")
    for batch in given.batches:
        words = [*passed, "--batch", str(batch), "--forecast", given.forecast]
        said, real = (child("memory", name, words) for name in ("forecast", "update"))
        above = (said["total"] - said["resident_before"]) / (real["peak"] - real["before"])
        found[str(batch)] = {"forecast": said, **real}
        figures = f"{real['before']:,.0f} | {said['total']:,.0f} | {real['peak']:,.0f}"
        print(f"| {batch} | {figures} | {said['total'] / real['peak']:.2f} | {above:.2f} |", flush=True)
    return found


def more(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone knows."""
    parser.add_argument("--forecast", metavar="RECIPE", help="compare --dry-run's forecast with what is taken")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256], help="for --forecast")


def main(words: Sequence[str]) -> None:
    """Print a table, and JSON where asked."""
    given = options(words, __doc__, more)
    if given.child:
        print(json.dumps(searched(given) if given.forecast else kept(given)))
        return
    sizes = {name: getattr(given, name) for name in ("cells", "channels", "batch", "side")}
    if given.forecast:
        sizes.pop("batch")
    result: dict[str, Any] = {"sizes": sizes, **circumstances()}
    print(", ".join(f"{name} {value}" for name, value in (sizes | circumstances()).items()) + "\n")
    passed = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    if given.forecast:
        result["forecasts"] = {given.forecast: forecasts(given, passed)}
    else:
        header = ["variant", "saved, weight step (MB)", "saved, choice step (MB)", "peak, weight step (MB)"]
        print("| " + " | ".join(header) + " |\n|---|---:|---:|---:|")
        result["variants"] = {}
        for name in given.variants:
            found = result["variants"][name] = child("memory", name, passed)
            figures = (found[key] for key in ("saved_weights", "saved_choices", "peak_weights"))
            print("| " + " | ".join([name, *(f"{figure:,.0f}" for figure in figures)]) + " |")
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
