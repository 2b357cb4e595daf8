"""``show``: the cells of a run, an architecture file or a published cell, and what their network costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archgrad import registry
from archgrad.api.latency import measure_latency
from archgrad.architecture import Architecture
from archgrad.errors import ArchgradError, InputError, nearest
from archgrad.network.build import build, count_flops, count_parameters
from archgrad.network.costs import count_memory_access
from archgrad.network.image import ImageNetwork
from archgrad.network.recurrent_build import is_recurrent
from archgrad.network.saved import load_network
from archgrad.published import names, published
from archgrad.reporting.text import draw_text
from archgrad.runs.directory import RunDirectory
from archgrad.space import nasbench201
from archgrad.space.nasbench201_strings import is_string, read_string, string_of
from archgrad.supernet.memory import saved_bytes
from archgrad.tasks.cell_table import CellTable
from archgrad.tasks.data import open_data

__all__ = ["find_architecture", "show"]

MEBIBYTE = 2**20
SIZES = ("network", "parameters", "flops", "memory_access", "latency_ms", "parameters_mb", "activations_mb")

PENN_TREEBANK = {"hidden": 850, "tokens": 10_000}
"""The language model that a recurrent cell is shown in: DARTS' own, with tied embeddings."""


@dataclass(frozen=True)
class _Size:
    """The network that the cells are shown in; DARTS' own for CIFAR-10 unless something else is known.

    Cells of NAS-Bench-201 are shown in the network of the benchmark.
    """

    cells: int = 20
    channels: int = 36
    input_shape: tuple[int, ...] = (3, 32, 32)
    classes: int = 10


def show(
    source: str | Path | Architecture,
    *,
    cells: int | None = None,
    channels: int | None = None,
    input_shape: Sequence[int] | None = None,
    classes: int | None = None,
    latency: bool = False,
    batch: int = 1,
    table: str | Path | CellTable | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Return cells as text, and the sizes of the network that is stacked of them.

    What is not given follows from the run: its trained network if there is one, else its settings and data. For an
    architecture alone it is the network of DARTS on CIFAR-10: 20 cells of 36 channels, 3x32x32, 10 classes; for a cell
    of NAS-Bench-201 that of the benchmark: 15 cells of 16 channels.

    Args:
        source: a run directory, an architecture file, the name of a published cell, an architecture string of
            NAS-Bench-201, or an :class:`Architecture`.
        cells: cells in the stack.
        channels: channels of the first cell's nodes.
        input_shape: (C, H, W) of one image.
        classes: number of classes.
        latency: whether to measure how long a forward takes here.
        batch: images in that forward.
        table: a table of trained cells (CSV) to look the cell up in, for cells of NAS-Bench-201.
        device: where; "auto" takes a GPU if there is one.

    Returns:
        Plain data: ``name``, ``text`` (the cells drawn), ``architecture``, ``string`` (of a cell of NAS-Bench-201, else
        None), ``network`` (cells, channels, input_shape, classes), ``parameters`` (without the auxiliary head),
        ``flops`` (multiply-adds of one image), ``memory_access`` (numbers read and written for one image: weights and
        maps), ``latency_ms`` (if asked for), ``parameters_mb`` (float32) and ``activations_mb`` (what training keeps of
        one image for the backward), both in MiB; ``table`` (what it says, where one is given). The sizes are None for
        cells whose networks this version cannot build. A recurrent cell is shown in the language model of DARTS on the
        Penn Treebank: ``network`` is its hidden units and tokens, and of its sizes the parameters are given.

    Raises:
        InputError: it is none of these, or a size is not positive.
    """
    table = CellTable(table) if isinstance(table, (str, Path)) else table
    name, architecture, run = find_architecture(source)
    shown: dict[str, Any] = {"name": name, "text": draw_text(architecture), "architecture": architecture.to_dict()}
    shown["string"] = string_of(architecture)
    if table:
        shown["table"] = table.about(architecture)
    if architecture.space not in registry.names("space"):
        return shown | dict.fromkeys(SIZES)
    if is_recurrent(architecture):
        parameters = count_parameters(architecture, **PENN_TREEBANK)  # type: ignore[arg-type]
        sizes = {"parameters": parameters, "parameters_mb": 4 * parameters / MEBIBYTE}
        return shown | dict.fromkeys(SIZES) | {"network": dict(PENN_TREEBANK), **sizes}
    alone = _Size(nasbench201.CELLS, nasbench201.CHANNELS) if architecture.space == nasbench201.NAME else _Size()
    known = _size_of(run) if run else alone
    shape = tuple(known.input_shape if input_shape is None else input_shape)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"The input shape is {shape}; it must be three positive numbers: channels, height, width.")
    network = {
        "cells": known.cells if cells is None else cells,
        "channels": known.channels if channels is None else channels,
        "input_shape": list(shape),
        "classes": known.classes if classes is None else classes,
    }
    stack: dict[str, Any] = {key: network[key] for key in ("cells", "channels", "classes")}
    module = build(architecture, in_channels=shape[0], **stack)
    assert isinstance(module, ImageNetwork)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return shown | {
        "network": network,
        "parameters": parameters,
        "flops": count_flops(module, shape),
        "memory_access": count_memory_access(module, shape),
        "latency_ms": measure_latency(module, input_shape=shape, batch=batch, device=device) if latency else None,
        "parameters_mb": 4 * parameters / MEBIBYTE,
        "activations_mb": _activations(module, shape) / MEBIBYTE,
    }


def find_architecture(source: str | Path | Architecture) -> tuple[str, Architecture, RunDirectory | None]:
    """Return name, architecture and, if it is one, the run of whatever names an architecture.

    Args:
        source: a run directory, an architecture file, the name of a published cell, an architecture string of
            NAS-Bench-201, or an architecture.

    Raises:
        InputError: it is none of these, or a run that has not found anything yet.
    """
    if isinstance(source, Architecture):
        return str(source.made_by.get("published", source.made_by.get("recipe", "architecture"))), source, None
    if is_string(source):
        architecture = read_string(str(source))
        return str(architecture.made_by["string"]), architecture, None
    if str(source) in names():
        return str(source), published(str(source)), None
    path = Path(source)
    if path.is_dir():
        run = RunDirectory.open(path)
        if not run.architecture.is_file():
            raise InputError(
                f"The run {path} has no architecture.json: its search is not finished. Finish it with "
                f"archgrad search --resume --run {path}, or derive what it has so far with archgrad derive {path}"
            )
        return str(path), Architecture.load(run.architecture), run
    if path.exists():
        return str(path), Architecture.load(path), None
    match = nearest(str(source), [*names(), *_runs_beside(path)])
    hint = f" Did you mean '{match}'?" if match else ""
    raise InputError(
        f"'{source}' is neither a run directory, nor an architecture file, nor a published cell.{hint} "
        f"Published are: {', '.join(names())}."
    )


def _runs_beside(path: Path) -> list[str]:
    """Return the run directories that lie where the path should have been."""
    try:
        return [str(entry) for entry in path.parent.iterdir() if (entry / "config.yaml").is_file()]
    except OSError:
        return []


def _size_of(run: RunDirectory) -> _Size:
    """Return the size of a run's network: of the one that was trained, else as its settings and data say."""
    if run.model.is_file():
        _, about = load_network(run.model)
        layers = about["blueprint"]["layers"]
        return _Size(len(layers), layers[0]["channels"], tuple(about["input_shape"]), len(about["classes"]))
    config = run.read_config()
    cells, channels = config.train.cells, config.train.channels
    try:
        data = open_data(
            config.data.spec, seed=config.seed, batch=2, choice_share=0.0, device="cpu", options=config.data.options()
        )
    except ArchgradError:  # data that were moved, or given from Python: the cells can be shown all the same
        return _Size(cells, channels)
    return _Size(cells, channels, data.input_shape, len(data.classes))


def _activations(network: nn.Module, shape: Sequence[int]) -> int:
    """Return the bytes that training keeps for the backward of one image more."""
    known = [*network.parameters(), *network.buffers()]
    counts = []
    for batch in (2, 3):  # batch norm needs two, and what does not grow with the batch cancels out
        images = torch.zeros(batch, *shape)
        counts.append(saved_bytes(lambda x=images: network(x), [*known, images]))  # type: ignore[misc]
    return counts[1] - counts[0]
