"""``python -m benchmarks transfer CELL --task NAME=SPEC``: is a cell that was found elsewhere worth something here?

On every task the given cell, random cells of the same space, and a cell searched on the task itself are trained from
scratch alike. A task is a SPEC, or ``idx:FOLDER``, the four .gz files of MNIST and Fashion-MNIST. Called again it goes
on with what is missing.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import archgrad
from archgrad.api.train_origin import find_origin
from archgrad.runs import checkpoint

__all__ = ["load_idx", "main", "read_task"]

PARTS = {"train": "train", "test": "t10k"}


def load_idx(folder: Path, size: int | None = None) -> dict[str, Any]:
    """Return the parts of a data set in the format of MNIST, as archgrad takes data from Python.

    Args:
        folder: with the files as they are distributed.
        size: side to which the images are resized; None leaves the 28 pixels.
    """
    data: dict[str, Any] = {}
    for part, name in PARTS.items():
        pixels = np.frombuffer(
            gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
        )
        labels = np.frombuffer(
            gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
        )
        images = torch.from_numpy(pixels.reshape(len(labels), 1, 28, 28).copy())
        if size is not None and size != 28:
            images = F.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True).round().byte()
        data[part] = (images, torch.from_numpy(labels.astype(np.int64)))
    return data


def read_task(words: str) -> tuple[str, object, dict[str, Any]]:
    """Return name, data and settings of ``NAME=SPEC[,KEY=VALUE...]``, such as ``large=cifar10:PATH,data.size=64``."""
    name, _, rest = words.partition("=")
    spec, *pairs = rest.split(",")
    settings = {key: json.loads(value) for key, _, value in (pair.partition("=") for pair in pairs)}
    kind, _, folder = spec.partition(":")
    if kind == "idx":
        return name, load_idx(Path(folder), settings.pop("data.size", None)), settings
    return name, spec, settings


def cells_of(options: argparse.Namespace, name: str, data: object, settings: dict[str, Any]) -> dict[str, str | Path]:
    """Return the cell of every arm, as a file or by its name, searching for what is missing."""
    cell = find_origin(options.cell).architecture.cells["normal"]
    found: dict[str, str | Path] = {"given": options.cell}
    arms = {"searched here": options.recipe, **{f"random {seed}": "random" for seed in range(options.random)}}
    for number, (arm, recipe) in enumerate(arms.items()):
        run = options.output / f"{name}-{arm.replace(' ', '-')}"
        found[arm] = finished = run / "architecture.json"
        if not finished.is_file():
            size = {"space.nodes": cell.nodes, "supernet.cells": options.cells, "supernet.channels": options.channels}
            more = options.search if recipe == options.recipe else {}
            seed = 0 if recipe == options.recipe else number - 1
            epochs = options.search_epochs if recipe == options.recipe else None
            words = {**size, **settings, **{"space.operations": options.operations}, **more}
            if (run / "config.yaml").is_file():  # it was cut off
                archgrad.search(data=None if isinstance(data, str) else data, run=run, resume=True)
            else:
                archgrad.search(recipe, data=data, seed=seed, epochs=epochs, run=run, settings=words)
    return found


def trained(
    options: argparse.Namespace, run: Path, cell: str | Path, data: object, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the end of a training, done before or now."""
    log = run / "log.jsonl"
    if not (run / "model.safetensors").is_file():
        size = {"train.cells": options.cells, "train.channels": options.channels, "train.epochs": options.epochs}
        seed = int(run.name.rpartition("-s")[2])
        begun = bool(checkpoint.names(run / "checkpoints", "train-"))
        words = {**size, **settings, **options.train}
        archgrad.train(cell, data=data, run=run, seed=seed, settings=words, resume=begun)
    return dict(json.loads(log.read_text().splitlines()[-1]))


def main(words: Sequence[str]) -> None:
    """Search, train, print a table and write transfer.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks transfer", description=__doc__.splitlines()[0])
    parser.add_argument("cell", help="run or architecture.json of the cell that was found elsewhere, or DARTS_V2")
    parser.add_argument("--task", action="append", required=True, metavar="NAME=SPEC[,KEY=VALUE]")
    parser.add_argument("--recipe", default="entrannas", help="of the search on the task itself")
    parser.add_argument("--search-epochs", type=int, default=10)
    parser.add_argument("--operations", type=json.loads, default=None, help="candidates of all searches, as JSON")
    parser.add_argument("--search", type=json.loads, default={}, help="settings of the search on the task, as JSON")
    parser.add_argument("--train", type=json.loads, default={}, help="settings of all trainings, as JSON")
    parser.add_argument("--random", type=int, default=3, help="random cells")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each")
    parser.add_argument("--epochs", type=int, default=8, help="of every training")
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--output", type=Path, default=Path("runs/transfer"), help="folder of all runs")
    options = parser.parse_args(words)
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for task in options.task:
        name, data, settings = read_task(task)
        for arm, cell in cells_of(options, name, data, settings).items():
            for seed in range(options.seeds):
                run = options.output / f"{name}-{arm.replace(' ', '-')}-trained-s{seed}"
                end = trained(options, run, cell, data, settings)
                row = {"task": name, "cell": arm, "seed": seed, **end["test"], "parameters": end["parameters"]}
                rows.append(row)
                print(json.dumps(row), flush=True)
    (options.output / "transfer.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for name, kind in dict.fromkeys((row["task"], row["cell"].split()[0]) for row in rows):
        values = [row["accuracy"] for row in rows if (row["task"], row["cell"].split()[0]) == (name, kind)]
        spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
        print(f"{name:<12}{kind:<10}{mean(values):.4f}{spread}")
