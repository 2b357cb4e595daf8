"""Series that are read once, in order: windows are tested when they are seen and learned from when their rows are in.

Only the newest rows are kept. A window that forecasts h rows is learned from when all h have come, so while window t is
tested the network knows no row from t on.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from archgrad.errors import InputError
from archgrad.tasks.series_csv import date_column, series_of
from archgrad.tasks.windows import SeriesData

__all__ = ["OnlineSeries", "Rows", "Tick", "ticks"]

CHUNK = 512
"""Rows of a file that are read at a time."""

RECENT = 8
"""Batches that are kept to judge the derived child on."""

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Tick:
    """One step of a stream.

    Args:
        test: windows and what came after them, to be forecast before anything of them is learned; None at the start.
        learn: windows whose forecast rows are all in by now.
        position: windows that were learned from, this tick's too: where a resumed stream goes on.
    """

    test: Batch | None
    learn: Batch
    position: int


class Rows:
    """The rows of a CSV file, read a chunk at a time; what was read has a digest, so that an altered past is noticed.

    Args:
        path: the file.
        date: the column with the dates; found where it is not named.

    Raises:
        InputError: the file cannot be read, or holds cells that are no numbers.
    """

    def __init__(self, path: str, date: str | None = None) -> None:
        self.path = path
        try:
            self._reader = pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=CHUNK)
            first = next(iter(self._reader))
        except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, StopIteration) as error:
            raise InputError(f"{path} cannot be read as a table with a line of names and rows: {error}") from error
        first.columns = pd.Index([str(name).strip() for name in first.columns])
        self._date = date or date_column(first)
        self.names, _, _ = series_of(first, self._date, path)
        self._chunks = chain([first], self._reader)
        self._digest = hashlib.sha256("\n".join(self.names).encode())
        self.read = 0

    def __iter__(self) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """Yield every row, [F]."""
        try:
            for chunk in self._chunks:
                chunk.columns = pd.Index([str(name).strip() for name in chunk.columns])
                chunk.attrs["first_line"] = int(chunk.index[0]) + 2
                _, values, _ = series_of(chunk.reset_index(drop=True), self._date, self.path)
                for row in values:
                    self._digest.update(row.tobytes())
                    self.read += 1
                    yield row
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    @property
    def digest(self) -> str:
        """SHA-256 of all rows that were read, in hexadecimal."""
        return self._digest.hexdigest()


class OnlineSeries(SeriesData):
    """A stream of series as the data of a search: every part of it is what has just been seen.

    Args:
        warm: the first rows, [rows, F]; their means and spreads standardise all that follow.
        name: of the data.
        names: of the series.
        window: rows that a forecast sees.
        horizon: rows that are forecast.
        targets: which series are forecast.
        anchor: whether the network sees each window relative to its last values.
        block: batches that count as one epoch.
        device: where the network is.
    """

    def __init__(
        self,
        warm: Tensor,
        *,
        name: str,
        names: Sequence[str],
        window: int,
        horizon: int,
        targets: tuple[int, ...],
        anchor: bool,
        block: int,
        device: torch.device,
    ) -> None:
        self.name, self.names, self.fingerprint = name, tuple(names), "online"
        self.window, self.horizon, self.targets, self.anchor = window, horizon, targets, anchor
        self.input_shape = (window, warm.shape[1])
        spread = warm.double().std(dim=0, correction=0)
        self.mean = tuple(warm.double().mean(dim=0).tolist())
        self.std = tuple(torch.where(spread > 1e-9, spread, torch.ones_like(spread)).tolist())
        self.block, self.device = block, device
        self.recent: deque[Batch] = deque(maxlen=RECENT)

    def see(self, batch: Batch) -> None:
        """Make a batch what the next update learns from."""
        self.recent.append(batch)

    def steps(self, part: str) -> int:
        """Return how many batches count as one epoch."""
        return self.block

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        """Yield the newest batch, whatever the part: choices learn from it before the weights do."""
        while True:
            yield self.recent[-1]

    def once(self, part: str) -> Iterator[Batch]:
        """Yield the batches that were seen last, oldest first."""
        yield from list(self.recent)


def ticks(
    rows: Iterable[np.ndarray[tuple[int], np.dtype[np.float64]]],
    *,
    window: int,
    horizon: int,
    targets: Sequence[int],
    batch: int,
    scored_from: int = 0,
    position: int = 0,
) -> Iterator[Tick]:
    """Yield what is tested and what is learned, in the order of time, until the rows do not suffice for a batch.

    Args:
        rows: all rows from the first on, [F] each.
        window: rows that are seen.
        horizon: rows that are forecast.
        targets: which series are forecast.
        batch: windows of one tick.
        scored_from: windows that forecast earlier rows are not tested.
        position: windows that were learned from already.
    """
    kept: deque[np.ndarray[tuple[int], np.dtype[np.float64]]] = deque(maxlen=window + 2 * horizon + batch)
    chosen = torch.tensor(list(targets))

    def windows(first: int, known: int) -> Batch:
        """Return the windows whose forecasts begin at rows first, first + 1, ..."""
        start = first - window - (known - len(kept))
        table = torch.from_numpy(np.stack([kept[row] for row in range(start, start + window + batch - 1 + horizon)]))
        cut = table.unfold(0, window + horizon, 1).transpose(1, 2).float()
        return cut[:, :window].contiguous(), cut[:, window:].index_select(2, chosen)

    learn = window + position
    for known, row in enumerate(rows, start=1):
        kept.append(row)
        tested = learn + horizon - 1  # the weights know the rows before this one, and no others
        if known == tested + batch + horizon - 1:
            yield Tick(
                windows(tested, known) if tested >= scored_from else None,
                windows(learn, known),
                learn + batch - window,
            )
            learn += batch
