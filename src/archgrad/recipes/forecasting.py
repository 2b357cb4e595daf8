"""The supernet of a search on series, from a configuration."""

from __future__ import annotations

from archgrad.errors import InputError
from archgrad.network.heads import ForecastEnds
from archgrad.recipes.recurrent_core import recurrent_core
from archgrad.runs.config import SearchConfig
from archgrad.space.form import Form
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.tasks.windows import SeriesData

__all__ = ["forecast_supernet", "make_forecaster"]


def make_forecaster(config: SearchConfig, form: Form, data: SeriesData) -> ForecastSupernet:
    """Build the supernet of a search on series.

    Args:
        config: the whole configuration.
        form: its cell, of a recurrent space, and its units.
        data: gives window, series, horizon, targets and their units.

    Raises:
        InputError: the space holds no recurrent cell.
    """
    if form.space.skeleton.form != "time":
        raise InputError(
            f"{data.name} is forecast by a recurrent cell, and the space {form.space.name} has none; "
            f"take --space darts-rnn or --space two-input-rnn."
        )
    steps, inputs = data.input_shape
    ends = ForecastEnds(
        inputs, form.width, data.horizon, data.targets, mean=data.mean, std=data.std, anchor=data.anchor
    )
    return forecast_supernet(config, form, ends, steps)


def forecast_supernet(config: SearchConfig, form: Form, ends: ForecastEnds, steps: int) -> ForecastSupernet:
    """Build the supernet between given ends; enough to take up the weights of a checkpoint.

    Args:
        config: the whole configuration.
        form: its cell, of a recurrent space, and its units.
        ends: what stands before and behind the cell.
        steps: time steps of a window; no weight depends on it.
    """
    return ForecastSupernet(recurrent_core(config, form, len(ends.mean), steps), ends)
