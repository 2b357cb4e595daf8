"""What training on images, series and text differs in around the same loop: one table, by cells and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archgrad.api.train_parts import fresh_network, searched_supernet, training_data
from archgrad.api.train_series import fresh_forecaster, searched_forecaster, series_data
from archgrad.api.train_text import fresh_language_model, noted_vocabulary, searched_language_model, text_data
from archgrad.architecture import Architecture
from archgrad.network.image import ImageNetwork
from archgrad.network.kinds import ForecastKind, ImageKind, LanguageKind, Network, kind_of
from archgrad.network.recurrent_build import is_recurrent
from archgrad.runs.config import SearchConfig
from archgrad.tasks.data import Data
from archgrad.tasks.forecast_record import forecast_record
from archgrad.tasks.forecasting import ForecastTask
from archgrad.tasks.image import ImageTask, Measure
from archgrad.tasks.language import LanguageTask
from archgrad.tasks.spec_task import task_of
from archgrad.tasks.windows import SeriesData

__all__ = ["TRAIN_KINDS", "TrainKind", "train_kind"]

Task = ImageTask | ForecastTask | LanguageTask


@dataclass(frozen=True)
class TrainKind:
    """How one kind of network is trained.

    Attributes:
        data: opens the data: (config, data, device, processes).
        task: gives loss and metrics: (data, loss, metrics).
        fresh: builds the network to start from: (architecture, config, data, supernet or None).
        supernet: returns the supernet of a search: (origin).
        finished: returns the trained network as it is used: (network).
        noted: returns what is saved about the data, beside the rest: (data).
        size: returns what of TrainResult says how large the network is: (network).
        shown: returns what the report shows of the test part, beside the metrics: (network, data); None: nothing.
    """

    data: Callable[..., Any]
    task: Callable[[Any, Measure | None, Mapping[str, Measure] | None], Task]
    fresh: Callable[..., Network]
    supernet: Callable[..., Any]
    finished: Callable[[Any], Network]
    noted: Callable[[Any], dict[str, Any]]
    size: Callable[[Any], dict[str, int]]
    shown: Callable[[Any, Any], dict[str, Any]] | None = None


def _image_task(data: Data, loss: Measure | None, metrics: Mapping[str, Measure] | None) -> ImageTask:
    return ImageTask.of(data, loss=loss, metrics=metrics)


def _forecast_task(data: SeriesData, loss: Measure | None, metrics: Mapping[str, Measure] | None) -> ForecastTask:
    return ForecastTask([data.std[target] for target in data.targets], loss=loss, metrics=metrics)


def _without_auxiliary(trained: ImageNetwork) -> ImageNetwork:
    network = ImageNetwork({**trained.blueprint, "auxiliary": False})
    weights = {name: value for name, value in trained.state_dict().items() if not name.startswith("auxiliary.")}
    network.load_state_dict(weights)
    return network.to(next(trained.parameters()).device).eval()


def _copied(trained: Network) -> Network:
    network = kind_of(trained.blueprint).build(trained.blueprint)
    network.load_state_dict(trained.state_dict())
    return network.to(next(trained.parameters()).device).eval()


TRAIN_KINDS: dict[str, TrainKind] = {
    ImageKind.name: TrainKind(
        data=training_data,
        task=_image_task,
        fresh=fresh_network,
        supernet=searched_supernet,
        finished=_without_auxiliary,
        noted=lambda data: {"classes": list(data.classes)},
        size=lambda network: {"cells": len(network.cells), "channels": network.blueprint["layers"][0]["channels"]},
    ),
    ForecastKind.name: TrainKind(
        data=series_data,
        task=_forecast_task,
        fresh=fresh_forecaster,
        supernet=searched_forecaster,
        finished=_copied,
        noted=lambda data: {"series": list(data.names), "season": data.season},
        size=lambda network: {"hidden": network.core.hidden},
        shown=forecast_record,
    ),
    LanguageKind.name: TrainKind(
        data=text_data,
        task=lambda data, loss, metrics: LanguageTask(loss=loss, metrics=metrics),
        fresh=fresh_language_model,
        supernet=searched_language_model,
        finished=_copied,
        noted=noted_vocabulary,
        size=lambda network: {"hidden": network.core.hidden},
    ),
}


def train_kind(architecture: Architecture, config: SearchConfig) -> TrainKind:
    """Return how an architecture is trained.

    Args:
        architecture: the cells.
        config: names the data, or has a word that stands for data from Python.

    Raises:
        InputError: its space is unknown, or the data cannot be found.
    """
    if not is_recurrent(architecture):
        return TRAIN_KINDS[ImageKind.name]
    task = task_of(config.data.spec, config.data.options())
    return TRAIN_KINDS[LanguageKind.name if task == "language" else ForecastKind.name]
