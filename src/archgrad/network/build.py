"""From an architecture to a network: the blueprint (plain data), the module, and its sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from archgrad import registry
from archgrad.architecture import Architecture
from archgrad.errors import InputError, at_least_one, unknown
from archgrad.network.image import ImageNetwork
from archgrad.network.modules import STEMS
from archgrad.network.recurrent_build import build_recurrent, is_recurrent

__all__ = ["blueprint", "build", "count_flops", "count_parameters", "fitting_stem"]

LARGE_IMAGES = 112
"""Shorter side in pixels from which on the first cell should not see whole images."""


def blueprint(
    architecture: Architecture,
    *,
    cells: int,
    channels: int,
    in_channels: int = 3,
    classes: int = 10,
    auxiliary: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stem: str = "plain",
) -> dict[str, Any]:
    """Return everything that :class:`ImageNetwork` needs, as plain data that JSON can hold.

    Args:
        architecture: the cells.
        cells: number of cells in the stack.
        channels: channels of the first cell's nodes.
        in_channels: channels of the images.
        classes: number of classes.
        auxiliary: whether there is an auxiliary head two thirds up.
        mean: per channel, of images in [0, 1]; subtracted by the stem.
        std: per channel; divided by in the stem.
        stem: "plain" keeps the images' sides, "imagenet" leaves an eighth of them to the first cell.

    Raises:
        InputError: a size is not positive, an unknown stem, the architecture lacks a cell kind that the stack needs, or
            a cell has other inputs than the space's.
    """
    at_least_one(cells=cells, channels=channels, in_channels=in_channels, classes=classes)
    if stem not in STEMS:
        raise unknown("stem", stem, STEMS)
    skeleton = registry.get("space", architecture.space).skeleton()
    layers = skeleton.layers(cells, channels)
    missing = sorted({layer.cell for layer in layers} - set(architecture.cells))
    if missing:
        raise InputError(
            f"The architecture has no cell '{missing[0]}', which a network of {cells} cells needs; "
            f"it has {', '.join(architecture.cells)}."
        )
    for kind in dict.fromkeys(layer.cell for layer in layers):
        if architecture.cells[kind].inputs != skeleton.inputs:
            raise InputError(
                f"The {kind} cell has {architecture.cells[kind].inputs} inputs; in the space {architecture.space} "
                f"a cell has {skeleton.inputs}."
            )
    return {
        "in_channels": in_channels,
        "classes": classes,
        "stem": stem,
        "stem_channels": skeleton.stem_channels(stem, channels),
        "layers": [asdict(layer) for layer in layers],
        "cells": {kind: cell.to_dict() for kind, cell in architecture.cells.items()},
        "network": dict(architecture.network),
        "auxiliary": auxiliary,
        "last_norm": skeleton.last_norm,
        "mean": None if mean is None else [float(m) for m in mean],
        "std": None if std is None else [float(s) for s in std],
    }


def fitting_stem(wanted: str | None, input_shape: Sequence[int]) -> str:
    """Return the name of the stem: the wanted one, or the one that suits the images' size.

    Args:
        wanted: as set, or None.
        input_shape: (C, H, W) of the images.
    """
    if wanted is not None:
        return wanted
    return "imagenet" if min(input_shape[-2:]) >= LARGE_IMAGES else "plain"


def build(
    architecture: Architecture,
    *,
    cells: int = 20,
    channels: int = 36,
    in_channels: int = 3,
    classes: int = 10,
    auxiliary: bool = False,
    stem: str = "plain",
    **recurrent: Any,
) -> nn.Module:
    """Build the network of an architecture: a plain ``torch.nn.Module``.

    Cells for images give a network from images in [0, 1] to logits. A recurrent cell gives a language model (``hidden``
    and ``tokens``), a forecaster (``hidden``, ``inputs`` and ``horizon``) or the bare recurrence (``hidden``,
    ``inputs``).

    Args:
        architecture: the cells.
        cells: number of cells (DARTS evaluates 20 on CIFAR-10).
        channels: channels of the first cell's nodes (DARTS: 36).
        in_channels: channels of the images.
        classes: number of classes.
        auxiliary: whether there is an auxiliary head for training.
        stem: "plain" keeps the images' sides, "imagenet" (for large ones) leaves an eighth of them to the first cell.
        **recurrent: sizes of a recurrent network in place of the above, see
            :func:`archgrad.network.recurrent_build.recurrent_network`.

    Raises:
        InputError: a size is not positive, missing or not one of this architecture's, or a cell kind is missing.
    """
    if is_recurrent(architecture):
        return build_recurrent(architecture, recurrent)
    if recurrent:
        raise InputError(f"{min(recurrent)}= is a size of recurrent networks; {architecture.space} is for images.")
    return ImageNetwork(
        blueprint(
            architecture,
            cells=cells,
            channels=channels,
            in_channels=in_channels,
            classes=classes,
            auxiliary=auxiliary,
            stem=stem,
        )
    )


def count_parameters(
    architecture: Architecture,
    *,
    cells: int = 20,
    channels: int = 36,
    in_channels: int = 3,
    classes: int = 10,
    auxiliary: bool = False,
    stem: str = "plain",
    **recurrent: Any,
) -> int:
    """Count the trainable numbers of the network that :func:`build` would return, without allocating it."""
    with torch.device("meta"):
        network = build(
            architecture,
            cells=cells,
            channels=channels,
            in_channels=in_channels,
            classes=classes,
            auxiliary=auxiliary,
            stem=stem,
            **recurrent,
        )
    return sum(parameter.numel() for parameter in network.parameters())


def count_flops(network: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of one example through a network (convolutions and matrix products).

    Args:
        network: any module.
        input_shape: shape of one example, without the batch.
    """
    from torch.utils.flop_counter import FlopCounterMode

    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *input_shape, device=device, dtype=getattr(network, "input_dtype", None)))
    network.train(was_training)
    return int(counter.get_total_flops()) // 2
