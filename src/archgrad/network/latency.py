"""Milliseconds of what networks are made of, measured on the user's device, and a whole network's as their sum.

Everything is a forward in evaluation mode without gradients. A measurement warms up, then times bursts of calls, each
long enough for the clock and ended by waiting for the device, and takes the median of the bursts. What other programs
take of a CPU does not count: with one thread the clock is the thread's own; with several, bursts in which this process
was kept from running are left out, as long as there are others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.network import modules
from archgrad.network.costs import Sides, edge_place, halved, layer_sides, stem_sides
from archgrad.network.latency_cache import LatencyCache
from archgrad.network.modules import STEMS, FactorizedReduce, ReluConvolutionNorm, make_operation
from archgrad.network.residual import LastNorm, ResidualReduction
from archgrad.space.skeleton import Layer

__all__ = ["LatencyTable", "apart", "measure", "network_latency"]

WARM_UP, BURSTS, MOST_BURSTS = 3, 9, 45
BURST_SECONDS = 0.003
LONGEST_SECONDS = 2.0
UNDISTURBED = 0.9
"""Share of a burst that the process must have been running."""


def measure(run: Callable[[], object], device: torch.device) -> float:
    """Return the median milliseconds of one call.

    Args:
        run: what is timed; it may return before the device has done its work.
        device: is waited for after every burst.
    """
    begin = time.perf_counter()
    for _ in range(WARM_UP):
        once, _ = _burst(run, device, 1)
    calls = max(1, round(BURST_SECONDS / max(once, 1e-7)))
    bursts = [_burst(run, device, calls)]
    while (
        len(bursts) < MOST_BURSTS
        and sum(quiet for _, quiet in bursts) < BURSTS
        and time.perf_counter() - begin < LONGEST_SECONDS
    ):
        bursts.append(_burst(run, device, calls))
    undisturbed = [seconds for seconds, quiet in bursts if quiet]
    return 1000 * statistics.median(undisturbed or [seconds for seconds, _ in bursts])


def _burst(run: Callable[[], object], device: torch.device, calls: int) -> tuple[float, bool]:
    """Return the seconds that each of so many calls took, and whether the process was running all the while."""
    begin, worked, alone = time.perf_counter(), time.process_time(), time.thread_time()
    for _ in range(calls):
        run()
    _wait(device)
    seconds = time.perf_counter() - begin
    if device.type != "cpu":
        return seconds / calls, True
    if torch.get_num_threads() == 1:
        return (time.thread_time() - alone) / calls, True
    return seconds / calls, time.process_time() - worked >= UNDISTURBED * seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def apart(device: torch.device) -> Iterator[None]:
    """Within it random numbers and gradients of the search are left alone."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
        yield


class LatencyTable:
    """Latencies of what networks are made of, each measured when first asked for and then kept.

    Args:
        device: where to measure.
        batch: images in one forward.
        pool_norm: whether pooling is followed by batch norm, as in SNAS' networks.
        known: milliseconds by key that come before the cache, so that a resumed search counts as it did.
        folder: of the cache; the platform's own when None.
    """

    def __init__(
        self,
        device: torch.device,
        batch: int,
        *,
        pool_norm: bool = False,
        known: Mapping[str, float] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.device, self.batch, self.pool_norm = device, batch, pool_norm
        self.cache = LatencyCache(device, folder)
        self.used: dict[str, float] = dict(known or {})

    def operation(self, name: str, channels: int, stride: int, sides: Sides) -> float:
        """Return the milliseconds of one operation; ``none`` and an identity take none.

        Args:
            name: a key of :data:`archgrad.network.modules.OPERATIONS`.
            channels: channels in and out.
            stride: 1 or 2.
            sides: height and width of its input.
        """
        if name == "none" or (name == "skip_connect" and stride == 1):
            return 0.0
        normed = self.pool_norm and name.endswith("pool_3x3")
        key = f"{name}{' norm' if normed else ''} stride {stride}"
        own = getattr(modules.OPERATIONS.get(name), "__module__", None) != modules.__name__
        return self.module(
            key, lambda: make_operation(name, channels, stride, pool_norm=self.pool_norm), channels, sides, keep=not own
        )

    def edge(self, name: str, channels: int, stride: int, sides: Sides) -> float:
        """Return the milliseconds of an operation and of adding its result to the node's sum; 0 for ``none``."""
        if name == "none":
            return 0.0
        return self.operation(name, channels, stride, sides) + self.sum(
            channels, halved(sides) if stride == 2 else sides
        )

    def sum(self, channels: int, sides: Sides) -> float:
        """Return the milliseconds of adding two maps."""

        def make() -> Callable[[Tensor], Tensor]:
            return lambda x: x + x

        return self.module("sum", make, channels, sides)

    def module(
        self,
        key: str,
        make: Callable[[], Callable[[Tensor], object]],
        channels: int,
        sides: Sides,
        *,
        keep: bool = True,
    ) -> float:
        """Return the milliseconds of anything that takes a map.

        Args:
            key: says what it is.
            make: builds it; called only if it has to be measured.
            channels: of the map.
            sides: of the map.
            keep: whether the cache may hold it: not what a user may change without changing its name.
        """
        key = f"{key}, {self.batch}x{channels}x{sides[0]}x{sides[1]}"
        if key not in self.used and key in self.cache.milliseconds and keep:
            self.used[key] = self.cache.milliseconds[key]
        if key not in self.used:
            with apart(self.device):
                made = make()
                if isinstance(made, nn.Module):
                    made = made.eval().to(self.device)
                x = torch.rand(self.batch, channels, *sides, device=self.device)
                self.used[key] = measure(lambda: made(x), self.device)
            if keep:
                self.cache.add({key: self.used[key]})
        return self.used[key]


def network_latency(table: LatencyTable, blueprint: Mapping[str, Any], sides: Sides) -> float:
    """Return the sum of the milliseconds of everything that a network is made of.

    Args:
        table: measures what it has not measured yet.
        blueprint: of an :class:`archgrad.network.image.ImageNetwork`.
        sides: height and width of the images.
    """
    images, name, channels = blueprint["in_channels"], blueprint["stem"], blueprint["stem_channels"]
    classes, layers = blueprint["classes"], [Layer(**layer) for layer in blueprint["layers"]]
    total = table.module(f"{name} stem to {channels}", lambda: STEMS[name](images, channels), images, sides)
    farther, nearer = stem_sides(name, sides)
    sources, reduced = [(channels, farther), (channels, nearer)], STEMS[name].halves
    for layer, inside in zip(layers, layer_sides(layers, nearer), strict=True):
        cell = blueprint["cells"][layer.cell]
        for (width, at), halve in list(zip(sources, (reduced, False), strict=True))[-cell["inputs"] :]:
            total += _entrance_latency(table, cell["inputs"], layer, (width, at), halve)
        total += _cell_latency(table, cell, layer, inside, bool(blueprint["network"].get("node_norm", False)))
        after = halved(inside) if layer.reduction else inside
        sources, reduced = [sources[1], (layer.channels * len(cell["output"]), after)], layer.reduction
    width, at = sources[1]
    if blueprint.get("last_norm"):
        total += table.module("last norm", lambda: LastNorm(width), width, at)
    return total + table.module(f"classifier of {classes}", lambda: _Classifier(width, classes), width, at)


def _entrance_latency(table: LatencyTable, inputs: int, layer: Layer, source: tuple[int, Sides], halve: bool) -> float:
    """Return the milliseconds of bringing an input, of some width and sides, to a cell's channels and sides."""
    (width, sides), channels = source, layer.channels
    if inputs > 1:
        make = FactorizedReduce if halve else ReluConvolutionNorm
        return table.module(f"{'halve' if halve else '1x1'} to {channels}", lambda: make(width, channels), width, sides)
    if not layer.residual:
        return 0.0
    return table.module(f"residual to {channels}", lambda: ResidualReduction(width, channels), width, sides)


def _cell_latency(table: LatencyTable, cell: Mapping[str, Any], layer: Layer, sides: Sides, node_norm: bool) -> float:
    """Return the milliseconds of a cell's operations, sums, norms and of joining its nodes."""
    total, channels, after = 0.0, layer.channels, halved(sides) if layer.reduction else sides
    for source, _, name, *_ in cell["edges"]:
        total += table.operation(name, channels, *edge_place(layer, sides, source < cell["inputs"]))
    filled = {edge[1] for edge in cell["edges"]}
    total += (len(cell["edges"]) - len(filled)) * table.sum(channels, after)
    if node_norm:
        total += cell["nodes"] * table.module("norm", lambda: nn.BatchNorm2d(channels, affine=False), channels, after)
    nodes = len(cell["output"])
    if nodes == 1:
        return total
    return total + table.module(f"join of {nodes}", lambda: lambda x: torch.cat([x] * nodes, dim=1), channels, after)


class _Classifier(nn.Module):
    """Global pooling and the linear classifier."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x.mean(dim=(2, 3)))
        return out
