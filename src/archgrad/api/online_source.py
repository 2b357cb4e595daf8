"""The stream that an online search reads: a file that may grow, or batches from Python; opened anew or gone on with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archgrad.errors import InputError
from archgrad.runs.config import SearchConfig
from archgrad.tasks.data import find_device
from archgrad.tasks.online_series import OnlineSeries, Rows, Tick, ticks
from archgrad.tasks.series import chosen_targets

__all__ = ["Source", "open_source"]

FORECAST = {"window": 96, "horizon": 24}
"""As csv:PATH has them where they are not set."""


@dataclass
class Source:
    """A stream that is open: the data of the search, what comes, and what must be the same on resume.

    Args:
        data: sizes, means and spreads, as a search takes them.
        ticks: what comes, in order.
        warmup: rows that the means and spreads come from, learned untested.
        needs: what the stream needs at least, in words.
        rows: of a file, what was read so far; None for batches from Python.
    """

    data: OnlineSeries
    ticks: Iterable[Tick]
    warmup: int
    needs: str
    rows: Rows | None = None


def open_source(config: SearchConfig, data: object, block: int, warmup: int | None, saved: Any) -> Source:
    """Open the stream, behind what a checkpoint has seen of it.

    Args:
        config: whose ``data`` says which stream.
        data: the batches, where they come from Python.
        block: batches that count as one epoch.
        warmup: rows to learn untested; 4 windows if None.
        saved: the checkpoint's tree of a run that is resumed.

    Raises:
        InputError: no stream, too few rows, or other rows than were read before.
    """
    options = config.data.options()
    device = find_device(config.device)
    position = 0 if saved is None else int(saved["prequential"]["position"])
    if config.data.spec == "in-memory":
        if isinstance(data, str) or not isinstance(data, Iterable):
            raise InputError("This stream was given from Python; to go on, give the batches that come next: data=...")
        return _batches(iter(data), block, warmup, device, position)
    kind, _, path = config.data.spec.partition(":")
    if kind != "csv" or not path:
        raise InputError(f"A stream is read from csv:PATH, or given from Python as batches; got {config.data.spec}.")
    window, horizon = (int(options.get(name) or value) for name, value in FORECAST.items())
    warmup = 4 * window if warmup is None else warmup
    rows = Rows(path, options.get("date"))
    every: Iterator[np.ndarray[Any, Any]] = iter(rows)
    first = [*islice(every, max(warmup, window + 2 * horizon))]
    needs = f"a window of {window}, a horizon of {horizon} and a batch of {config.data.batch}"
    if len(first) < warmup or len(first) < window + 2 * horizon:
        raise InputError(f"{path} has {len(first)} rows, too few to begin with: {needs}, {warmup} rows to warm up.")
    if saved is not None:
        rest = list(islice(every, max(0, saved["rows"] - len(first))))
        if rows.read != saved["rows"] or rows.digest != saved["digest"]:
            raise InputError(
                f"The first {saved['rows']} rows of {path} are not those that were read before; a stream goes on where "
                "it was, with rows appended to the file. Start a new run for other data."
            )
        first += rest
    warm = torch.from_numpy(np.stack(first[:warmup]))
    targets = chosen_targets(rows.names, options.get("targets"))
    series = OnlineSeries(
        warm,
        name=config.data.spec,
        names=rows.names,
        window=window,
        horizon=horizon,
        targets=targets,
        anchor=bool(options.get("anchor", True)),
        block=block,
        device=device,
    )
    stream = ticks(
        chain(first, every),
        window=window,
        horizon=horizon,
        targets=targets,
        batch=config.data.batch,
        scored_from=warmup,
        position=position,
    )
    return Source(series, stream, warmup, needs, rows)


def _batches(
    given: Iterator[tuple[Tensor, Tensor]], block: int, warmup: int | None, device: torch.device, position: int
) -> Source:
    """Make a stream of batches that were given from Python; the first tells sizes, means and spreads."""
    try:
        x, y = next(given)
    except StopIteration:
        raise InputError("The stream of batches is empty.") from None
    if x.dim() != 3 or y.dim() != 3 or len(x) != len(y) or y.shape[2] > x.shape[2]:
        raise InputError(
            f"A batch is windows [N, T, F] and what came next [N, horizon, F], or the first of the F series; got "
            f"{list(x.shape)} and {list(y.shape)}."
        )
    warm = x.flatten(0, 1)[: warmup or None]
    names = [str(number) for number in range(x.shape[2])]
    series = OnlineSeries(
        warm,
        name="in-memory",
        names=names,
        window=x.shape[1],
        horizon=y.shape[1],
        targets=tuple(range(y.shape[2])),
        anchor=True,
        block=block,
        device=device,
    )

    def stream() -> Iterator[Tick]:
        at, fresh = position, position == 0
        for seen, came in chain([(x, y)], given):
            batch = seen.float(), came.float()
            at += len(seen)
            yield Tick(None if fresh else batch, batch, at)
            fresh = False

    return Source(series, stream(), warmup or 0, "at least one batch")
