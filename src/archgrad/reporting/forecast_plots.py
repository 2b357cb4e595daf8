"""The pictures of a forecaster: forecasts beside the truth, the error by step ahead, and its learning curves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archgrad.reporting.curves import curve, draw_line, finish, mapping_of, metric_names, pairs
from archgrad.reporting.figures import LINES, legend, panels, render, style
from archgrad.reporting.record import Record, finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["errors", "forecasts", "learning_curves"]

SIZE = (5.6, 3.3)  # of a panel of its own, in inches
SMALL = (3.4, 2.1)  # of a panel among others
TITLE = 0.28  # room for a panel's title, in inches
MOST_TARGETS = 12
MOST_WINDOWS = 4


def forecasts(record: Record, name: str) -> str | None:
    """Draw forecasts beside the truth, a line of panels a target, a column a window of the test part.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    targets = [str(target) for target in _listed(record.forecasts.get("targets"))][:MOST_TARGETS]
    windows = [window for window in _listed(record.forecasts.get("windows")) if isinstance(window, Mapping)]
    windows = windows[:MOST_WINDOWS]
    if not targets or not any(_column(window, "forecast", 0) for window in windows):
        return None
    with style():
        width, height = SMALL
        figure, grid = panels(width, height, len(targets), len(windows), left=0.75, bottom=0.35, top=TITLE)
        for row, target in enumerate(targets):
            for place, window in enumerate(windows):
                axes = grid[row * len(windows) + place]
                _draw_window(axes, window, row)
                axes.set_title(target)
        legend(grid[0])
        return render(figure, name, f"Forecasts of {', '.join(targets)} beside the truth")


def _draw_window(axes: Axes, window: Mapping[str, Any], target: int) -> None:
    """Draw one target of one window: what was seen and what came in one line, the forecast in another."""
    seen, truth, ahead = (_column(window, part, target) for part in ("seen", "truth", "forecast"))
    first = len(seen)
    draw_line(axes, *pairs(range(first + len(truth)), [*seen, *truth]), color=LINES[0], label="truth")
    # from the last seen value on, so that the eye follows it
    draw_line(
        axes,
        *pairs(range(first - len(seen[-1:]), first + len(ahead)), [*seen[-1:], *ahead]),
        color=LINES[1],
        label="forecast",
    )
    axes.axvline(first - 0.5, color=LINES[6], linewidth=1.0, linestyle=":", label="_child0")
    axes.grid(axis="x", visible=False)
    axes.margins(x=0.02)
    last = first + max(len(truth), len(ahead)) - 1
    dates = [str(date) for date in _listed(window.get("dates"))]
    start = window.get("row")
    if len(dates) > last:
        words = [_short(dates[first]), _short(dates[last])]
    else:
        words = [f"row {start}" if isinstance(start, int) else "+1", f"+{last - first + 1}"]
    few = 2 if last > first else 1
    axes.set_xticks([first, last][:few], words[:few], fontsize=8)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")


def errors(record: Record, name: str) -> str | None:
    """Draw the error at every step ahead, of the network and of the baselines that need no training.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    by_step = mapping_of(record.forecasts.get("error_by_step"))
    curves = {str(who): _listed(values) for who, values in by_step.items()}
    curves = {who: values for who, values in curves.items() if finite(values)}
    if not curves:
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for colour, (who, values) in zip(LINES, curves.items(), strict=False):
            line = "-" if who == "network" else "--"
            draw_line(axes, *pairs(range(1, len(values) + 1), values), color=colour, label=who, linestyle=line)
        finish(axes, "mean absolute error, in spreads")
        axes.set_xlabel("step ahead")
        axes.set_ylim(bottom=0)
        return render(figure, name, "Error of the forecasts by step ahead")


def learning_curves(record: Record, name: str) -> str | None:
    """Draw every metric of the validation over the epochs of the training, a panel each: their units differ.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there are fewer than two metrics, or there is an accuracy beside them.
    """
    epochs = record.epochs("train")
    metrics = [metric for metric in metric_names(epochs, ["validation"]) if metric != "loss"]
    if len(metrics) < 2 or finite(event.get("train_accuracy") for event in epochs):
        return None
    with style():
        columns = 2
        figure, grid = panels(*SMALL, math.ceil(len(metrics) / columns), columns, top=TITLE, left=0.75)
        for axes, metric in zip(grid, metrics, strict=False):
            draw_line(axes, *curve(epochs, "validation", metric), color=LINES[0])
            finish(axes, "")
            axes.set_title(metric.replace("_", " "))
        for axes in grid[len(metrics) :]:
            axes.remove()
        return render(figure, name, "Errors of the validation over the epochs of the training")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _column(window: Mapping[str, Any], part: str, target: int) -> Sequence[Any]:
    """Return one target of a part of a window; rows that are none are left out."""
    rows = [row for row in _listed(window.get(part)) if isinstance(row, list)]
    return [row[target] if target < len(row) else None for row in rows]


def _short(date: str) -> str:
    """Return a date without seconds that are zero."""
    return re.sub(r"(:\d\d):00$", r"\1", date)
