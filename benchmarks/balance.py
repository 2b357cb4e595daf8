"""``python -m benchmarks balance``: who learns in EnTranNAS, with and without feature sharing.

Sharing is said to balance operations with and without weights. Two figures an epoch, over the Engine-cells' choices:
the mixing mass of parametric operations over that of parameter-free ones, each per candidate, and the same ratio of the
relative sizes of their updates |dp| / |p|. Beside them the relative updates of the parametric operations' own weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import archgrad
from archgrad.engine.derivations.derive import expected_mixings
from archgrad.engine.monitor import PARAMETER_FREE
from archgrad.engine.state import SearchState

__all__ = ["Balance", "main", "ratio"]


def ratio(values: Tensor, parametric: Tensor) -> float:
    """Return the mean over parametric candidates divided by the mean over the parameter-free ones.

    Args:
        values: [rows, candidates].
        parametric: bool [candidates].
    """
    return float(values[:, parametric].mean() / values[:, ~parametric].mean().clamp_min(1e-12))


class Balance:
    """Listens to a search, one row an epoch."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.before: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.updates: dict[str, list[Tensor]] = {}
        self.relative: list[float] = []

    def __call__(self, kind: str, state: SearchState, record: Mapping[str, Any]) -> None:
        """Note a step, or close an epoch."""
        if kind == "step":
            self._step(state)
        elif kind == "epoch":
            self._epoch(state)

    def _step(self, state: SearchState) -> None:
        expected = expected_mixings(state.choices, state.parts.relaxation, state.progress)
        for cell, mixing in expected.items():
            p = mixing.weights.detach().clone()
            if cell in self.before:
                change = (p - self.before[cell]).abs() / self.before[cell].clamp_min(1e-12)
                self.updates.setdefault(cell, []).append(change)
            self.before[cell] = p
        total = changed = 0.0
        for name, weight in state.weights.items():
            if ".storage." in name:
                now = weight.detach().clone()
                if name in self.weights:
                    total += float(now.square().sum())
                    changed += float((now - self.weights[name]).square().sum())
                self.weights[name] = now
        if total:
            self.relative.append(math.sqrt(changed / total))

    def _epoch(self, state: SearchState) -> None:
        row = {"epoch": float(state.epoch), "weight_update": sum(self.relative) / max(1, len(self.relative))}
        for cell, p in self.before.items():
            names = state.parts.space.cells[cell].operations
            parametric = torch.tensor([name not in PARAMETER_FREE for name in names])
            row[f"{cell}_mass"] = ratio(p, parametric)
            row[f"{cell}_update"] = ratio(torch.stack(self.updates[cell]).mean(0), parametric)
        self.rows.append(row)
        self.updates.clear()
        self.relative.clear()


def draw(found: Mapping[str, list[dict[str, float]]], path: Path) -> None:
    """Draw both ratios over the epochs, one line per search."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = {
        "normal_mass": "mixing mass, parametric / parameter-free",
        "normal_update": "relative update of p, parametric / parameter-free",
        "weight_update": "relative update of the weights",
    }
    for place, (key, title) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for name, rows in found.items():
            axes.plot([row["epoch"] for row in rows], [row[key] for row in rows], label=name)
        axes.set_title(title, fontsize=8)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)
    figure.savefig(path)


def main(arguments: list[str]) -> None:
    """Search with and without sharing; write balance.csv and balance.svg."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks balance", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", type=json.loads, default={"data.batch": 64, "choices.rate": 0.02})
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("."), help="folder")
    options = parser.parse_args(arguments)
    found: dict[str, list[dict[str, float]]] = {}
    for name, share in (("shared", True), ("not shared", False)):
        balance = Balance()
        archgrad.search(
            "entrannas",
            data=options.data,
            seed=options.seed,
            epochs=options.epochs,
            settings={
                "supernet.cells": options.cells,
                "supernet.channels": options.channels,
                **options.settings,
                "supernet.share_features": share,
            },
            progress=balance,
        )
        found[name] = balance.rows
        last = balance.rows[-1]
        print(f"{name:<11}" + "  ".join(f"{key} {value:.3g}" for key, value in last.items()))
    with (options.output / "balance.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["search", *found["shared"][0]])
        writer.writeheader()
        for name, rows in found.items():
            writer.writerows({"search": name, **row} for row in rows)
    draw(found, options.output / "balance.svg")
