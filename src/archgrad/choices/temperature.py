"""Temperatures over a search: pure functions of the epoch clock, in (0, 1]."""

from __future__ import annotations

from archgrad.errors import InputError

__all__ = ["check_temperatures", "exponential"]


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


def check_temperatures(start: float, end: float) -> None:
    """Refuse temperatures that cannot divide.

    Raises:
        InputError: one of them is not above 0.
    """
    for name, value in (("start", start), ("end", end)):
        if not value > 0:
            raise InputError(f"relaxation.{name} is {value}; a temperature must be above 0.")
