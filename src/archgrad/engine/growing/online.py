"""Searching on a stream: every window is forecast before it is learned from, and the cell grows when it must.

That growing DARTS is meant for online use too is in its abstract (arXiv 2106.07211); everything here is a
reconstruction. Memory is bounded by the cell: nothing of the stream is kept but the newest rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch

from archgrad.choices import Progress
from archgrad.engine.derivations.derive import expected_mixings, project
from archgrad.engine.evaluate import evaluate_mixings
from archgrad.engine.growing.drift import PageHinkley, page_hinkley
from archgrad.engine.growing.extension import grow
from archgrad.engine.mixings import layer_mixings, transit_mixings
from archgrad.engine.state import Batch, SearchState
from archgrad.engine.sums import Sums
from archgrad.engine.update import Streams, update

__all__ = ["Emit", "OnlineDataLike", "Prequential", "TickLike", "Watch", "growth_clock", "run_online"]

Emit = Callable[[str, dict[str, Any]], bool]
"""Called with ("grown" | "drift" | "block", record); True after a block asks to stop."""


class TickLike(Protocol):
    """One step of a stream; see :class:`archgrad.tasks.online_series.Tick`."""

    @property
    def test(self) -> Batch | None:
        """Windows that are forecast before anything of them is learned, and what came after them."""
        ...

    @property
    def learn(self) -> Batch:
        """Windows that are learned from."""
        ...

    @property
    def position(self) -> int:
        """Windows that were learned from, these too."""
        ...


class OnlineDataLike(Protocol):
    """What a search on a stream asks of its data besides what every search asks."""

    block: int
    device: torch.device

    def see(self, batch: Batch) -> None:
        """Make a batch what the next update learns from."""
        ...


@dataclass(frozen=True)
class Watch:
    """When errors on a stream count as a drift, on which the cell grows.

    Args:
        tolerance: of the test of Page and Hinkley, as a share of the mean error.
        threshold: of the same, in mean errors.
    """

    tolerance: float = 0.05
    threshold: float = 20.0


class Prequential:
    """The error on a stream, each window tested before it was learned (Dawid, 1984); part of the checkpoint.

    Attributes:
        position: windows learned from.
        tested: windows tested.
        sums: of every metric over the tested windows.
        block: the same two since the last block.
        seen: what the test for drift remembers.
    """

    def __init__(self) -> None:
        self.position = self.tested = 0
        self.sums: dict[str, float] = {}
        self.block: dict[str, float] = {}
        self.block_tested = 0
        self.seen = PageHinkley()

    def add(self, metrics: Mapping[str, float], windows: int) -> None:
        """Add the mean metrics of so many windows."""
        self.tested, self.block_tested = self.tested + windows, self.block_tested + windows
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + windows * value
            self.block[name] = self.block.get(name, 0.0) + windows * value

    @property
    def mean(self) -> dict[str, float]:
        """The mean of every metric over all tested windows."""
        return {name: total / self.tested for name, total in self.sums.items()}

    def end_block(self) -> dict[str, float]:
        """Return the means since the last block, and begin the next."""
        means = {name: total / self.block_tested for name, total in self.block.items()}
        self.block, self.block_tested = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = ("position", "tested", "sums", "block", "block_tested")
        return {name: getattr(self, name) for name in names} | {"seen": self.seen.to_dict()}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` returned."""
        for name in ("position", "tested", "block_tested"):
            setattr(self, name, tree[name])
        self.sums, self.block = dict(tree["sums"]), dict(tree["block"])
        self.seen = PageHinkley(**tree["seen"])


def growth_clock(state: SearchState) -> Progress:
    """Return both clocks of a search without an end: which share of its growths a cell has behind it."""
    growth, growing, blueprint = state.parts.growth, state.growing, state.parts.blueprint
    if growth is None or growing is None or blueprint is None:
        return Progress(elapsed=1.0, epoch=1.0)
    share = (growing.done + 1) / (growth.count(blueprint.space) + 1)
    return Progress(elapsed=min(1.0, share), epoch=min(1.0, share))


def run_online(state: SearchState, stream: Iterable[TickLike], done: Prequential, watch: Watch, emit: Emit) -> None:
    """Test and learn until the stream ends or a listener asks for a stop.

    Args:
        state: changed in place.
        stream: from where ``done`` stands.
        done: the errors so far, changed in place.
        watch: for drift.
        emit: told of growths, drifts and the end of every block of batches.
    """
    data = cast(OnlineDataLike, state.parts.data)
    streams = Streams(state)
    for tick in stream:
        if tick.test is not None:
            metrics = _tested(state, tick.test)
            done.add(metrics, len(tick.test[0]))
            done.seen, drifted = page_hinkley(done.seen, metrics["loss"], watch.tolerance, watch.threshold)
            if drifted:
                done.seen = PageHinkley()
                emit("drift", {"position": tick.position, "loss": metrics["loss"]})
                if state.growing is not None:
                    state.growing.wanted = True
        data.see((tick.learn[0].to(data.device), tick.learn[1].to(data.device)))
        update(state, streams)
        done.position = tick.position
        if state.step % data.block == 0:
            state.epoch += 1
            means, state.sums = done.end_block(), Sums()
            if state.growing is not None and "loss" in means:
                state.growing.losses.append(means["loss"])
                for event in grow(state):
                    emit("grown", event | {"position": done.position})
            if emit("block", {"position": done.position, "tested": done.tested, "prequential": means}):
                return


@torch.no_grad()
def _tested(state: SearchState, batch: Batch) -> dict[str, float]:
    """Return the metrics of windows that nothing was learned from yet."""
    parts, device = state.parts, next(iter(state.weights.values())).device
    expected = expected_mixings(state.choices, parts.relaxation, state.progress)
    derived = transit_mixings(expected, project(expected, parts.derivation, parts.space))
    draws = 1 + max((seat.draw for seat in state.seats if seat.engine), default=0)
    silent: list[Mapping[str, Any]] = [dict.fromkeys(expected)] * draws
    mixings = layer_mixings(state.choices, parts.relaxation, state.progress, silent, state.seats, derived)
    return evaluate_mixings(state, mixings, [(batch[0].to(device), batch[1].to(device))])
