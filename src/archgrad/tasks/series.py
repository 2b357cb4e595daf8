"""What a loader of series returns: a table of numbers over time, and how it is meant to be forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from archgrad.errors import InputError, several, unknown

__all__ = ["SHARES", "RawSeries", "borders", "chosen_targets"]

SHARES = (0.7, 0.1, 0.2)
"""Training, validation and test part of the rows, in this order (the usual division of the ETT and LSTNet series)."""


@dataclass(frozen=True)
class RawSeries:
    """Series before they are divided into parts.

    Attributes:
        name: short name for messages.
        values: float64 [rows, F], oldest first.
        names: of the F series.
        dates: of the rows as they were written; None where there are none.
        fingerprint: sha256 of the contents, in hexadecimal.
        window: rows that a forecast sees.
        horizon: rows that are forecast.
        targets: which series are forecast.
        shares: training, validation and test part, as shares of the rows or as numbers of rows.
        season: rows after which the series repeat, for the seasonal baseline.
        anchor: whether networks see each window relative to its last values.
    """

    name: str
    values: Tensor
    names: tuple[str, ...]
    dates: tuple[str, ...] | None
    fingerprint: str
    window: int
    horizon: int
    targets: tuple[int, ...]
    shares: tuple[float, ...] = SHARES
    season: int = 1
    anchor: bool = False

    def check(self) -> None:
        """Raise one InputError that lists all that does not fit together."""
        problems = [
            f"data.{name} is {value}; it must be at least 1"
            for name, value in (("window", self.window), ("horizon", self.horizon), ("season", self.season))
            if value < 1
        ]
        rows = len(self.values)
        if not problems:
            try:
                train, validation, test = borders(rows, self.shares)
            except InputError as error:
                problems.append(str(error))
            else:
                needed = self.window + 2 * self.horizon
                if train < needed:
                    problems.append(
                        f"the training part has {train} of {rows} rows; a window of {self.window} and a horizon of "
                        f"{self.horizon} need at least {needed}: set data.window or data.horizon lower"
                    )
                for part, size in (("validation", validation - train), ("test", test - validation)):
                    if size < self.horizon:
                        problems.append(f"the {part} part has {size} rows, fewer than the horizon of {self.horizon}")
        if problems:
            raise several(f"The series of {self.name} cannot be used", problems)


def borders(rows: int, shares: Sequence[float]) -> tuple[int, int, int]:
    """Return where the training, the validation and the test part end, in rows.

    Args:
        rows: of the whole table.
        shares: three shares that sum to at most 1, or three numbers of rows.

    Raises:
        InputError: they are neither, or more rows than there are.
    """
    whole = all(share >= 1 and float(share).is_integer() for share in shares)
    good = len(shares) == 3 and all(share > 0 for share in shares)
    if not good or (not whole and (max(shares) >= 1 or sum(shares) > 1 + 1e-9)):
        raise InputError(
            f"data.shares is {list(shares)}; it must be three shares of the rows for training, validation and test, "
            "such as [0.7, 0.1, 0.2], or three numbers of rows."
        )
    sizes = [int(share) for share in shares] if whole else [math.floor(share * rows + 1e-9) for share in shares]
    if not whole and math.isclose(sum(shares), 1.0):
        sizes[1] = rows - sizes[0] - sizes[2]
    if sum(sizes) > rows:
        raise InputError(f"data.shares asks for {sum(sizes)} rows, and there are {rows}.")
    return sizes[0], sizes[0] + sizes[1], sum(sizes)


def chosen_targets(names: Sequence[str], wanted: Sequence[str] | None) -> tuple[int, ...]:
    """Return the numbers of the series that are forecast; all where none are named.

    Raises:
        InputError: there is no such series.
    """
    if not wanted:
        return tuple(range(len(names)))
    for name in wanted:
        if name not in names:
            raise unknown("series", name, names, "data.targets")
    return tuple(names.index(name) for name in dict.fromkeys(wanted))
