"""Windows of series: what is seen and what comes next, divided in the order of time.

A window belongs to the part that its forecast rows lie in; the rows that it sees may lie before. Means and spreads are
those of the training rows, so nothing later is known to the network or to its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from archgrad.errors import InputError
from archgrad.tasks.series import RawSeries, borders
from archgrad.tasks.split import Splits

__all__ = ["SeriesData", "window_parts"]


def window_parts(rows: tuple[int, int, int], window: int, horizon: int, choice_share: float) -> dict[str, Tensor]:
    """Return the first forecast rows of every part's windows.

    The choices learn from the later part of the training rows: no row is forecast for both.

    Args:
        rows: where training, validation and test part end.
        window: rows that are seen.
        horizon: rows that are forecast.
        choice_share: share of the training windows that serves the choices; 0 when trained jointly.

    Raises:
        InputError: the share is outside [0, 1), or a part is left without a window.
    """
    if not 0 <= choice_share < 1:
        raise InputError(f"The choices' share of the training data must be at least 0 and below 1, got {choice_share}.")
    training, validation, test = rows

    def within(first: int, end: int) -> Tensor:
        return torch.arange(max(first, window), max(end - horizon + 1, max(first, window)))

    middle = window + round((training - window) * (1 - choice_share))
    parts = {
        "weights": within(window, middle if choice_share else training),
        "choices": within(middle if choice_share else window, training),
        "validation": within(training, validation),
        "train": within(window, validation),
        "test": within(validation, test),
    }
    empty = [name for name, starts in parts.items() if not len(starts)]
    if empty:
        raise InputError(
            f"{training} training rows are too few for a window of {window} and a horizon of {horizon}: nothing is "
            f"left for {' and '.join(empty)}."
        )
    return parts


class SeriesData:
    """Series that follow the protocol :class:`archgrad.tasks.data.Data`.

    Inputs are windows float32 [N, window, F] and targets [N, horizon, targets], both in the data's units.

    Args:
        raw: the series and how they are forecast.
        name: what was asked for.
        seed: of the order of the windows.
        batch: windows of one step over all processes.
        choice_share: share of the training windows that serves the choices.
        device: where the series are kept.
        rank: number of this process.
        world: number of processes.

    Raises:
        InputError: the series are too short, or an option is wrong.
    """

    task = "forecasting"
    classes: tuple[str, ...] = ()

    def __init__(
        self,
        raw: RawSeries,
        *,
        name: str,
        seed: int,
        batch: int,
        choice_share: float,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        raw.check()
        self.raw, self.name, self.fingerprint = raw, name, raw.fingerprint
        self.window, self.horizon, self.targets, self.anchor = raw.window, raw.horizon, raw.targets, raw.anchor
        self.names, self.dates, self.season = raw.names, raw.dates, raw.season
        self.rows = borders(len(raw.values), raw.shares)
        self.input_shape: tuple[int, ...] = (raw.window, raw.values.shape[1])
        training = raw.values[: self.rows[0]]
        spread = training.std(dim=0, correction=0)
        spread = torch.where(spread > 1e-9, spread, torch.ones_like(spread))
        self.mean: tuple[float, ...] = tuple(training.mean(dim=0).tolist())
        self.std: tuple[float, ...] = tuple(spread.tolist())
        parts = window_parts(self.rows, raw.window, raw.horizon, choice_share)
        self._splits = Splits(parts, seed, batch, rank, world)
        self._values = raw.values.float().to(device)
        self._around = torch.arange(-raw.window, raw.horizon, device=device)
        self._chosen = torch.tensor(raw.targets, device=device)

    def size(self, part: str) -> int:
        """Return the number of windows in a part."""
        return len(self._splits.of(part))

    def steps(self, part: str) -> int:
        """Return the number of batches in one epoch of the stream."""
        return self._splits.steps(part)

    def stream(self, part: str, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches in shuffled order without end; item i is a pure function of (seed, part, i).

        Args:
            part: which part.
            start: number of the first batch; a resumed run goes on where it stopped.
        """
        while True:
            yield self.windows(self._splits.share(self._splits.step(part, start)))
            start += 1

    def once(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every window of a part once, in the order of time; the same in all processes."""
        yield from (self.windows(starts) for starts in self._splits.in_order(part))

    def starts(self, part: str) -> Tensor:
        """Return the first forecast row of every window of a part, in the order of time."""
        return self._splits.of(part)

    def windows(self, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is seen [n, window, F] and what comes next [n, horizon, targets].

        Args:
            starts: first forecast rows, int64 [n].
        """
        rows = self._values[starts.to(self._values.device)[:, None] + self._around]
        return rows[:, : self.window], rows[:, self.window :].index_select(2, self._chosen)
