"""What a training of a recurrent cell on series works on: its data, and the forecaster that it starts from."""

from __future__ import annotations

from typing import Any, cast

import torch

from archgrad.api.train_origin import Origin
from archgrad.api.train_parts import open_training, searched_form, searched_weights, take_up
from archgrad.architecture import Architecture
from archgrad.errors import InputError, several
from archgrad.network.heads import ForecastEnds, ForecastNetwork
from archgrad.network.recurrent_build import recurrent_network
from archgrad.processes import Processes
from archgrad.recipes.forecasting import forecast_supernet
from archgrad.runs.config import SearchConfig
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.supernet.recurrent.inherit import inherit_forecaster
from archgrad.tasks.windows import SeriesData

__all__ = ["fresh_forecaster", "refuse_image_settings", "searched_forecaster", "series_data"]


def series_data(config: SearchConfig, data: object, device: torch.device, processes: Processes) -> SeriesData:
    """Open series with the training's own batch.

    Args:
        config: of the training.
        data: the user's own objects, or anything else to take what the configuration names.
        device: where the batches are wanted.
        processes: which of how many processes this is.

    Raises:
        InputError: they are missing, unusable or no series, or a setting belongs to networks for images.
    """
    refuse_image_settings(config)
    opened = open_training(config, data, device, processes)
    if opened.task != SeriesData.task:
        raise InputError(
            f"A recurrent cell is trained on series, and {opened.name} holds none; take --data csv:PATH, "
            "macro or hf:NAME, or for a language model text:PATH, pydoc or hf:NAME."
        )
    return cast(SeriesData, opened)


def refuse_image_settings(config: SearchConfig) -> None:
    """Refuse settings of the training that mean nothing to recurrent cells.

    Raises:
        InputError: there are some; all are listed.
    """
    foreign = [
        f"train.{name} is {getattr(config.train, name)}, which belongs to networks for images; set train.{name}=0"
        for name in ("drop_path", "auxiliary")
        if getattr(config.train, name)
    ]
    if foreign:
        raise several("A recurrent cell cannot be trained so", foreign)


def fresh_forecaster(
    architecture: Architecture, config: SearchConfig, data: SeriesData, supernet: ForecastSupernet | None
) -> ForecastNetwork:
    """Build the forecaster that a training starts from; its random weights are a function of the seed.

    Means and spreads are those of the training rows alone.

    Args:
        architecture: the cell.
        config: of the training.
        data: gives window, horizon, series, targets and scaling.
        supernet: whose weights and statistics it takes over, if any.

    Raises:
        InputError: the supernet does not suit the data or the architecture.
    """
    rest: dict[str, Any] = {
        "window": data.window,
        "series": data.names,
        "dropout_input": config.train.dropout_input,
        "dropout_hidden": config.train.dropout_hidden,
    }
    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        if supernet is None:
            network = recurrent_network(
                architecture,
                hidden=config.train.hidden,
                inputs=len(data.names),
                horizon=data.horizon,
                targets=data.targets,
                mean=data.mean,
                std=data.std,
                anchor=data.anchor,
                **rest,
            )
            return cast(ForecastNetwork, network)
        ends = supernet.ends
        there = len(ends.mean), ends.horizon, tuple(ends.targets.tolist()), ends.anchor
        if there != (len(data.names), data.horizon, tuple(data.targets), data.anchor):
            raise InputError(
                f"The supernet forecasts {len(there[2])} of {there[0]} series, {there[1]} rows ahead; the data ask for "
                f"{len(data.targets)} of {len(data.names)}, {data.horizon} ahead, or differ in data.anchor. Inherit on "
                "data like the search's, or train from scratch."
            )
        return inherit_forecaster(supernet, architecture, **rest)


def searched_forecaster(origin: Origin) -> ForecastSupernet:
    """Return the supernet of a search on series as its newest checkpoint has it, on the CPU.

    Raises:
        InputError: the architecture does not come from a search whose supernet there is.
        RunError: no checkpoint of it is whole.
    """
    if origin.searched is not None:
        return cast(ForecastSupernet, origin.searched.state.supernet)
    weights, form = searched_weights(origin), searched_form(origin)
    targets = weights["ends.targets"].tolist()
    ends = ForecastEnds(
        weights["ends.mean"].numel(),
        form.width,
        len(weights["ends.decoder.bias"]) // len(targets),
        targets,
        anchor=bool(origin.config.data.options().get("anchor", True)),  # as the loaders of series have it
    )
    supernet = forecast_supernet(origin.config, form, ends, steps=1)
    take_up(supernet, weights, origin)
    return supernet
