"""``evaluate``: the metrics of a trained network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archgrad.api.forecasts import measure_series
from archgrad.api.reopened import BATCH, open_again
from archgrad.api.texts import measure_text
from archgrad.api.train_result import TrainResult
from archgrad.api.trained import find_trained
from archgrad.errors import InputError, unknown
from archgrad.network.kinds import ForecastKind, ImageKind, LanguageKind, Network, kind_of
from archgrad.tasks.batches import as_float
from archgrad.tasks.data import find_device
from archgrad.tasks.image import ImageTask, Measure
from archgrad.tasks.own import load_own
from archgrad.tasks.split import PARTS

__all__ = ["evaluate"]


def evaluate(
    run: str | Path | TrainResult,
    *,
    data: object = None,
    device: str = "auto",
    part: str = "test",
    loss: Measure | None = None,
    metrics: Mapping[str, Measure] | None = None,
) -> dict[str, float]:
    """Measure a trained network.

    Args:
        run: a run directory with a trained network, or what :func:`archgrad.train` returned.
        data: a SPEC, of which ``part`` is taken; or the user's own pair (images, labels), ``Dataset`` or
            ``DataLoader``, all of which is taken, or a mapping with ``"test"``. Series, from a SPEC or given as a
            frame or rows of numbers, are divided in the order of time, and documents of text in their order, and
            ``part`` is taken. If None, what it was trained on.
        device: "auto", "cpu", "cuda", "cuda:1".
        part: "test"; or, to compare, "train" or "validation" (which is part of "train").
        loss: callable (output, target) -> scalar, in place of the task's.
        metrics: name -> callable (output, target) -> number, in place of the task's.

    Returns:
        ``loss`` and every metric by name.

    Raises:
        InputError: no trained network, or data that are missing or do not suit it.
    """
    network, about = find_trained(run)
    place = find_device(device)
    if part not in PARTS:
        raise unknown("part", part, PARTS)
    measure = MEASURES[kind_of(network.blueprint).name]
    return measure(network.to(place), about, data, place, part, loss, metrics)


def _measure_images(
    network: Network,
    about: Mapping[str, Any],
    data: object,
    device: torch.device,
    part: str,
    loss: Measure | None,
    metrics: Mapping[str, Measure] | None,
) -> dict[str, float]:
    if data is None or isinstance(data, str):
        opened = open_again(about, data, device)
        _check(about, tuple(opened.input_shape), opened.classes, opened.name)
        batches, classes = opened.once(part), opened.classes
    else:
        batches, classes = _own(about, data, device), tuple(about["classes"])
    task = ImageTask(about["input_shape"], classes, loss=loss, metrics=metrics)
    return task.evaluate(network, batches)


MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    ImageKind.name: _measure_images,
    ForecastKind.name: measure_series,
    LanguageKind.name: measure_text,
}


def _own(about: Mapping[str, Any], given: object, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all of the user's own data, or their test part where they have one."""
    if isinstance(given, Mapping) and "test" in given:
        given = given["test"]
    elif isinstance(given, Mapping):
        given = given.get("train")
    raw = load_own({"train": given, "classes": about["classes"]})
    images, labels = raw.train, raw.train_labels
    _check(about, tuple(images.shape[-3:]), tuple(about["classes"]), raw.name)
    if len(images) != len(labels) or not len(labels):
        raise InputError(f"There are {len(images)} images and {len(labels)} labels to evaluate; both must be as many.")
    if int(labels.min()) < 0 or int(labels.max()) >= len(about["classes"]):
        raise InputError(
            f"Labels go from {int(labels.min())} to {int(labels.max())}; the network's classes have the numbers 0 to "
            f"{len(about['classes']) - 1}."
        )
    for chunk in torch.arange(len(labels)).split(BATCH):
        batch = images[chunk] if isinstance(images, Tensor) else images.fetch(chunk.tolist(), ("evaluate",))
        yield as_float(batch.to(device)), labels[chunk].to(device)


def _check(about: Mapping[str, Any], shape: tuple[int, ...], classes: tuple[str, ...], name: str) -> None:
    """Refuse data that the network cannot have been made for."""
    takes = tuple(about["input_shape"])
    if len(shape) != 3:
        raise InputError(f"{name} holds no images, which the network takes.")
    if shape != takes:
        raise InputError(f"The images of {name} are {_size(shape)}; the network takes {_size(takes)}.")
    if list(classes) != about["classes"]:
        raise InputError(
            f"The classes of {name} are {', '.join(classes)}; the network's are {', '.join(about['classes'])}, and the "
            "order counts."
        )


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} pixels of {channels} channel{'s' * (channels != 1)}"
