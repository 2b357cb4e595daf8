"""The pictures of a run over its epochs: losses, what the supernet and the derived cell are worth, the monitor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archgrad.reporting.figures import LINES, legend, panels, render, style
from archgrad.reporting.record import Record, finite, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["comparison", "losses", "monitor", "training_loss", "training_scores", "validation"]

MOST_POINTS = 500
FLAT = 0.02  # least height of a panel, as a share of its values
SIZE = (5.6, 3.3)  # of a panel, in inches
TITLE = 0.28  # room for a panel's title, in inches


def losses(record: Record, name: str) -> str | None:
    """Draw the loss of the weights and that of the choices: every logged step faintly, the epochs' means over them.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs, steps = record.epochs("search"), record.steps("search")
    keys = {"loss": "weights", "choice_loss": "choices"}
    if not finite(event.get(key) for event in (*epochs, *steps) for key in keys):
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for colour, (key, label) in zip(LINES, keys.items(), strict=False):
            x, y = _step_curve(steps, key)
            if finite(y):
                _line(axes, x, y, color=colour, alpha=0.35, linewidth=1.0, label="" if epochs else label)
            if finite(event.get(key) for event in epochs):
                _line(axes, *_curve(epochs, key), color=colour, label=label)
        _finish(axes, "loss")
        return render(figure, name, "Loss over the epochs of the search")


def validation(record: Record, name: str) -> str | None:
    """Draw every validation metric of the supernet against the same metric of the cell that would be derived.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("search")
    parts = {"validation": "supernet", "derived_validation": "derived cell"}
    metrics = [metric for metric in _metrics(epochs, parts) if metric != "loss"] or _metrics(epochs, parts)
    if not metrics:
        return None
    with style():
        figure, grid = panels(*SIZE, rows=len(metrics))
        for axes, metric in zip(grid, metrics, strict=True):
            for colour, (part, label) in zip(LINES, parts.items(), strict=False):
                _line(axes, *_curve(epochs, part, metric), color=colour, label=label)
            _finish(axes, f"validation {metric}")
        return render(figure, name, "Validation of the supernet and of the derived cell over the epochs")


def monitor(record: Record, name: str) -> str | None:
    """Draw everything that the monitor watched, one panel a quantity, one line a cell.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("search")
    watched: dict[str, list[str]] = {}
    for event in epochs:
        for quantity, value in _mapping(event.get("monitor")).items():
            kinds = list(value) if isinstance(value, Mapping) else [""]
            known = watched.setdefault(str(quantity), [])
            known += [kind for kind in kinds if kind not in known and finite([_pick(event, "monitor", quantity, kind)])]
    watched = {quantity: kinds for quantity, kinds in watched.items() if kinds}
    if not watched:
        return None
    with style():
        columns = min(2, len(watched))
        rows = math.ceil(len(watched) / columns)
        figure, grid = panels(3.4, 2.4, rows, columns, top=TITLE)
        for axes in grid[len(watched) :]:
            axes.remove()
        for axes, (quantity, kinds) in zip(grid, watched.items(), strict=False):
            for colour, kind in zip(LINES, kinds, strict=False):
                values = [_pick(event, "monitor", quantity, kind) for event in epochs]
                _line(axes, *_pairs([event.get("epoch") for event in epochs], values), color=colour, label=kind)
            _finish(axes, "")
            axes.set_title(quantity.replace("_", " "))
        return render(figure, name, "What the monitor watched over the epochs")


def training_loss(record: Record, name: str) -> str | None:
    """Draw the loss of the derived network's training, and that of its validation.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("train")
    curves = {"training": _curve(epochs, "loss"), "validation": _curve(epochs, "validation", "loss")}
    return _curves(curves, "loss", name, "Loss over the epochs of the training")


def training_scores(record: Record, name: str) -> str | None:
    """Draw the derived network's accuracy on the examples that it trains on, and every other metric of its validation.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = record.epochs("train")
    metrics = [metric for metric in _metrics(epochs, ["validation"]) if metric != "loss"]
    curves = {"training": _curve(epochs, "train_accuracy")}
    for metric in metrics:
        curves["validation" if len(metrics) == 1 else f"validation {metric}"] = _curve(epochs, "validation", metric)
    label = metrics[0] if len(metrics) == 1 else "accuracy" if not metrics else ""
    return _curves(curves, label, name, "Accuracy over the epochs of the training")


def _curves(curves: Mapping[str, tuple[list[float], list[float]]], label: str, name: str, title: str) -> str | None:
    """Draw the curves that have anything to show into one panel."""
    if not any(finite(y) for _, y in curves.values()):
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for colour, (words, (x, y)) in zip(LINES, curves.items(), strict=False):
            if finite(y):
                _line(axes, x, y, color=colour, label=words)
        _finish(axes, label)
        return render(figure, name, title)


def comparison(records: Sequence[Record], names: Sequence[str], name: str) -> str | None:
    """Draw the validation of several searches into one picture: the supernet, and the derived cell beside it.

    Args:
        records: the runs.
        names: what each is called.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when fewer than two of them have a validation to show.
    """
    parts = {"validation": "supernet", "derived_validation": "derived cell"}
    counts: dict[str, int] = {}
    for record in records:
        for metric in _metrics(record.epochs("search"), parts):
            counts[metric] = counts.get(metric, 0) + 1
    common = [metric for metric, count in counts.items() if count > 1]
    if not common:
        return None
    metric = next((metric for metric in common if metric != "loss"), common[0])
    with style():
        figure, grid = panels(SIZE[0], SIZE[1] + 0.15 * len(records), columns=2, top=TITLE)
        for axes, (part, label) in zip(grid, parts.items(), strict=True):
            for k, (record, run) in enumerate(zip(records, names, strict=True)):
                x, y = _curve(record.epochs("search"), part, metric)
                _line(axes, x, y, color=LINES[k % len(LINES)], linestyle="-" if k < len(LINES) else "--", label=run)
            _finish(axes, f"validation {metric}")
            axes.set_title(label)
        return render(figure, name, f"Validation {metric} of all runs over the epochs")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pick(event: Mapping[str, Any], *keys: str) -> Any:
    """Follow keys into an event as far as they lead; an empty key stays where it is."""
    value: Any = event
    for key in keys:
        value = _mapping(value).get(key) if key else value
    return value


def _metrics(epochs: Iterable[Mapping[str, Any]], parts: Iterable[str]) -> list[str]:
    """Return the names of the metrics that have a finite value anywhere, in the order of their first appearance."""
    parts = list(parts)
    found: dict[str, None] = {}
    for event in epochs:
        for part in parts:
            for metric, value in _mapping(event.get(part)).items():
                if finite([value]):
                    found[str(metric)] = None
    return list(found)


def _curve(epochs: Sequence[Mapping[str, Any]], *keys: str) -> tuple[list[float], list[float]]:
    return _pairs([event.get("epoch") for event in epochs], [_pick(event, *keys) for event in epochs])


def _pairs(x: Iterable[Any], y: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Return both as numbers; infinities become gaps, which matplotlib can draw."""
    heights = [number(value) for value in y]
    return [number(value) for value in x], [value if math.isfinite(value) else math.nan for value in heights]


def _step_curve(steps: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Return the steps' values at their places within the epochs: those of epoch 3 spread from 2.5 to 3.5."""
    places: list[float] = []
    by_epoch: dict[float, list[int]] = {}
    for k, event in enumerate(steps):
        by_epoch.setdefault(number(event.get("epoch")), []).append(k)
    for epoch, members in by_epoch.items():
        places += [epoch - 0.5 + (rank + 0.5) / len(members) for rank in range(len(members))]
    values = [steps[k].get(key) for members in by_epoch.values() for k in members]
    every = max(1, math.ceil(len(values) / MOST_POINTS))
    return _pairs(places[::every], values[::every])


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], **options: Any) -> None:
    """Draw a curve; a single point gets a dot, which a line would not show."""
    marker = "o" if sum(math.isfinite(value) for value in y) == 1 else ""
    axes.plot(x, y, marker=marker, markersize=5, **options)


def _finish(axes: Axes, label: str) -> None:
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
