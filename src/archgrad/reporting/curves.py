"""What the curves of the report share: values picked out of events that may be damaged, and how a line is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archgrad.reporting.figures import legend
from archgrad.reporting.record import finite, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve", "draw_line", "finish", "mapping_of", "metric_names", "pairs", "pick", "step_curve"]

MOST_POINTS = 500
FLAT = 0.02  # least height of a panel, as a share of its values


def mapping_of(value: Any) -> Mapping[str, Any]:
    """Return what is a mapping as it is, and anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def pick(event: Mapping[str, Any], *keys: str) -> Any:
    """Follow keys into an event as far as they lead; an empty key stays where it is."""
    value: Any = event
    for key in keys:
        value = mapping_of(value).get(key) if key else value
    return value


def metric_names(epochs: Iterable[Mapping[str, Any]], parts: Iterable[str]) -> list[str]:
    """Return the names of the metrics that have a finite value anywhere, in the order of their first appearance."""
    parts = list(parts)
    found: dict[str, None] = {}
    for event in epochs:
        for part in parts:
            for metric, value in mapping_of(event.get(part)).items():
                if finite([value]):
                    found[str(metric)] = None
    return list(found)


def curve(epochs: Sequence[Mapping[str, Any]], *keys: str) -> tuple[list[float], list[float]]:
    """Return one value of every epoch over the epochs' numbers."""
    return pairs([event.get("epoch") for event in epochs], [pick(event, *keys) for event in epochs])


def pairs(x: Iterable[Any], y: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Return both as numbers; infinities become gaps, which matplotlib can draw."""
    heights = [number(value) for value in y]
    return [number(value) for value in x], [value if math.isfinite(value) else math.nan for value in heights]


def step_curve(steps: Sequence[Mapping[str, Any]], *keys: str) -> tuple[list[float], list[float]]:
    """Return the steps' values at their places within the epochs: those of epoch 3 spread from 2.5 to 3.5."""
    places: list[float] = []
    by_epoch: dict[float, list[int]] = {}
    for k, event in enumerate(steps):
        by_epoch.setdefault(number(event.get("epoch")), []).append(k)
    for epoch, members in by_epoch.items():
        places += [epoch - 0.5 + (rank + 0.5) / len(members) for rank in range(len(members))]
    values = [pick(steps[k], *keys) for members in by_epoch.values() for k in members]
    every = max(1, math.ceil(len(values) / MOST_POINTS))
    return pairs(places[::every], values[::every])


def draw_line(axes: Axes, x: Sequence[float], y: Sequence[float], **options: Any) -> None:
    """Draw a curve; a single point gets a dot, which a line would not show."""
    marker = "o" if sum(math.isfinite(value) for value in y) == 1 else ""
    axes.plot(x, y, marker=marker, markersize=5, **options)


def finish(axes: Axes, label: str) -> None:
    """Name the axes of a panel over epochs, choose its ticks, add its legend."""
    from matplotlib.ticker import MaxNLocator

    axes.set_ylabel(label)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.margins(x=0.02)
    low, high = axes.get_ylim()
    narrow = FLAT * max(abs(low), abs(high)) - (high - low)
    if narrow > 0:  # what hardly changes looks flat, instead of noise with ten-digit labels
        axes.set_ylim(low - narrow / 2, high + narrow / 2)
    legend(axes)
