"""``predict``: what a trained network says about images, one answer each, or how series and texts go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from archgrad.api.forecasts import predict_series
from archgrad.api.inputs import read_inputs
from archgrad.api.texts import predict_text
from archgrad.api.train_result import TrainResult
from archgrad.api.trained import find_trained
from archgrad.errors import InputError
from archgrad.network.kinds import ForecastKind, ImageKind, LanguageKind, Network, kind_of
from archgrad.tasks.data import find_device

__all__ = ["predict"]


def predict(
    run: str | Path | TrainResult,
    inputs: object,
    *,
    device: str = "auto",
    length: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
) -> Any:
    """Classify images, forecast series, or continue a text, with a trained network.

    Images are taken as training took them: resized or converted only where the training data were (``data.size``,
    ``data.mode``).

    Args:
        run: a run directory with a trained network, or what :func:`archgrad.train` returned.
        inputs: an image file; a folder, of which all images are taken, those in folders within it too; a .npy file; or
            a tensor or array. Arrays are [N, C, H, W] or [C, H, W] ([N, H, W] too where images are grey), uint8 from 0
            to 255 or float from 0 to 1. For a forecaster a CSV file, a pandas frame, or an array [rows, series]; the
            last rows count. For a language model the text to continue, a str, or the ``Path`` of a file with it.
        device: "auto", "cpu", "cuda", "cuda:1".
        length: tokens that a text is continued by; default 100.
        temperature: of a language model; below 1 likelier tokens come more often, at 0 the likeliest always; default 1.
        seed: of the tokens that a language model draws; default 0.

    Returns:
        For every image, in the order of names or numbers: ``input`` (the file, or the number in the array), ``class``,
        ``probability`` of that class, and ``probabilities`` by class. Of a forecaster: for every row ahead ``date`` (or
        ``step`` from 1 on, where there are no dates), and the value of each series that it forecasts; of a frame a
        frame that goes on where it ends. Of a language model: ``prompt``, ``text`` (what follows) and ``unknown``
        (words of the prompt that are not in its vocabulary).

    Raises:
        InputError: no trained network, or images that are missing, damaged or not of its size and mode, all of which
            are named; or a table without the series or rows that the network needs; or a word for language models given
            to another network.
    """
    network, about = find_trained(run)
    place = find_device(device)
    name = kind_of(network.blueprint).name
    words = {"length": length, "temperature": temperature, "seed": seed}
    given = {word: value for word, value in words.items() if value is not None}
    if given and name != LanguageKind.name:
        raise InputError(f"{min(given)} is for language models, and this network reads no text; leave it out.")
    return ANSWERS[name](network.to(place), about, inputs, place, **given)


def _classify(network: Network, about: Mapping[str, Any], inputs: object, device: torch.device) -> list[dict[str, Any]]:
    names, batches = read_inputs(inputs, about)
    classes = about["classes"]
    with torch.no_grad():
        rows = [row for batch in batches for row in network(batch.to(device)).softmax(1).tolist()]
    answers = []
    for name, row in zip(names, rows, strict=True):
        probability, best = max((value, -number) for number, value in enumerate(row))
        probabilities = dict(zip(classes, row, strict=True))
        answers.append(
            {"input": name, "class": classes[-best], "probability": probability, "probabilities": probabilities}
        )
    return answers


ANSWERS: dict[str, Callable[..., Any]] = {
    ImageKind.name: _classify,
    ForecastKind.name: predict_series,
    LanguageKind.name: predict_text,
}
