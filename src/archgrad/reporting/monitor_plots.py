"""The pictures of what is watched in a search: the monitor, the schedule of the choice steps, the penalties."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from archgrad.reporting.curves import curve, draw_line, finish, mapping_of, pick, step_curve
from archgrad.reporting.figures import LINES, panels, render, style
from archgrad.reporting.record import Record, finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["monitor", "penalties", "schedule"]

SIZE = (5.6, 3.3)  # of a panel of its own, in inches
SMALL = (3.4, 2.4)  # of a panel among others
TITLE = 0.28  # room for a panel's title, in inches
MOST = 1e100  # on a logarithmic axis, whose margins would overflow
COUNTS = ("taken", "skipped")  # of a schedule; the monitor shows them


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
        for quantity, value in mapping_of(event.get("monitor")).items():
            kinds = list(value) if isinstance(value, Mapping) else [""]
            known = watched.setdefault(str(quantity), [])
            known += [kind for kind in kinds if kind not in known and finite([pick(event, "monitor", quantity, kind)])]
    watched = {quantity: kinds for quantity, kinds in watched.items() if kinds}
    if not watched:
        return None
    with style():
        figure, grid = _grid(len(watched))
        for axes, (quantity, kinds) in zip(grid, watched.items(), strict=True):
            for colour, kind in zip(LINES, kinds, strict=False):
                draw_line(axes, *curve(epochs, "monitor", quantity, kind), color=colour, label=kind)
            finish(axes, "")
            axes.set_title(quantity.replace("_", " "))
        return render(figure, name, "What the monitor watched over the epochs")


def schedule(record: Record, name: str) -> str | None:
    """Draw what a schedule told of every logged step, such as the squared gradient, its average and the threshold.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    steps = record.steps("search")
    keys = dict.fromkeys(str(key) for event in steps for key in mapping_of(event.get("schedule")))
    told = {key: step_curve(steps, "schedule", key) for key in keys if key not in COUNTS}
    told = {key: (x, y) for key, (x, y) in told.items() if finite(y)}
    if not told:
        return None
    with style():
        figure, (axes,) = panels(*SIZE)
        for colour, (key, (x, y)) in zip(LINES, told.items(), strict=False):
            faint = key == "gradient_square" and len(told) > 1
            draw_line(axes, x, y, color=colour, label=key.replace("_", " "), alpha=0.35 if faint else 1.0)
        if all(0 < value < MOST or math.isnan(value) for _, y in told.values() for value in y):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")  # its own labels would be formulas, which stay unread here
            axes.yaxis.set_minor_formatter("")
        finish(axes, "")
        return render(figure, name, "What decided about the choice steps, at every logged step")


def penalties(record: Record, name: str) -> str | None:
    """Draw every penalty's value and what it told besides, at the logged steps at which the choices learned.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    steps = [event for event in record.steps("search") if mapping_of(event.get("penalties"))]
    quantities: dict[tuple[str, str], None] = {}
    for event in steps:
        for penalty, values in mapping_of(event["penalties"]).items():
            quantities.update(((str(penalty), str(key)), None) for key in mapping_of(values))
    curves = {keys: step_curve(steps, "penalties", *keys) for keys in quantities}
    curves = {keys: (x, y) for keys, (x, y) in curves.items() if finite(y)}
    if not curves:
        return None
    with style():
        figure, grid = _grid(len(curves))
        for axes, ((penalty, key), (x, y)) in zip(grid, curves.items(), strict=False):
            draw_line(axes, x, y, color=LINES[0])
            finish(axes, "")
            axes.set_title(f"{penalty}: {key.replace('_', ' ')}")
        return render(figure, name, "Penalties at the steps of the choices")


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many small panels with titles, two in a row."""
    columns = min(2, count)
    figure, grid = panels(*SMALL, math.ceil(count / columns), columns, top=TITLE)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]
