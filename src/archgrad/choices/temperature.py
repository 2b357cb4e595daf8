"""Temperatures over a search: pure functions of the epoch clock, in (0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from archgrad.choices.table import ChoiceTable
from archgrad.errors import InputError

__all__ = ["check_temperatures", "exponential", "own_clock", "temperature_of"]


def exponential(start: float, end: float, epoch: float) -> float:
    """Return tau = start (end / start)^epoch: equal factors from ``start`` to ``end``, constant where both are equal.

    EnTranNAS (arXiv 2101.11342) divides its logits by a temperature whose schedule was not found: this one is a
    reconstruction.

    Args:
        start: temperature at clock 0, above 0.
        end: temperature in the last epoch, above 0.
        epoch: the clock of temperatures, (e + 1) / epochs with e counted from 0.
    """
    return float(start * (end / start) ** epoch)


def own_clock(epoch: float, born: float) -> float:
    """Return (epoch - born) / (1 - born): the clock of a row that grew when the search's own stood at ``born``."""
    return min(1.0, max(0.0, (epoch - born) / (1.0 - born))) if born < 1.0 else 1.0


def temperature_of(table: ChoiceTable, epoch: float, schedule: Callable[[float], float]) -> float | Tensor:
    """Return the temperature of a table, or [rows, 1] where rows grew later and are not as far (a reconstruction).

    Args:
        table: knows when its rows grew.
        epoch: the clock of temperatures.
        schedule: clock -> temperature.
    """
    if table.born is None:
        return schedule(epoch)
    each = [schedule(own_clock(epoch, born)) for born in table.born.tolist()]
    return torch.tensor(each, dtype=table.logits.dtype, device=table.logits.device)[:, None]


def check_temperatures(start: float, end: float) -> None:
    """Refuse temperatures that cannot divide.

    Raises:
        InputError: one of them is not above 0.
    """
    for name, value in (("start", start), ("end", end)):
        if not value > 0:
            raise InputError(f"relaxation.{name} is {value}; a temperature must be above 0.")
