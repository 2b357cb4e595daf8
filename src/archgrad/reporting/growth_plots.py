"""How a cell grew: its size over the epochs, the growths on other curves, and the cell before and after each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from archgrad.architecture import Architecture
from archgrad.errors import InputError
from archgrad.reporting.curves import mapping_of, pick
from archgrad.reporting.drawing import draw_cell
from archgrad.reporting.figures import LINES, panels, render, style
from archgrad.reporting.record import Record, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["grown_cells", "growths", "mark_growths", "sizes"]

MOST_CELLS = 12
"""Growths whose cells are drawn; the first of more."""

WORDS = {
    "node": "a new node",
    "split": "an edge split",
    "candidate": "a new candidate",
    "hadamard": "Hadamard products",
    "wider": "wider",
    "cell": "one more cell",
}


def growths(record: Record) -> list[dict[str, Any]]:
    """Return the growth events of a search in order, those that were undone too."""
    kept: list[dict[str, Any]] = []
    for event in record.events:
        if event.get("event") == "grown" and math.isfinite(number(event.get("epoch"))):
            kept.append(event)
    return kept


def mark_growths(axes: Axes, record: Record) -> None:
    """Draw a line where a search grew, dotted where a growth was undone, between the epochs before and after."""
    for event in growths(record):
        undone = event.get("what") == "undone"
        axes.axvline(number(event["epoch"]) + 0.5, color=LINES[2], linewidth=1.0, linestyle=":" if undone else "--")


def sizes(record: Record, name: str) -> str | None:
    """Draw how the search grew: nodes of the cells, edges that still mix candidates, weights of the supernet.

    Args:
        record: the run.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when nothing grew.
    """
    events, epochs = growths(record), record.epochs("search")
    if not events or not epochs:
        return None
    last = number(epochs[-1]["epoch"])
    starts = [0.5] + [number(event["epoch"]) + 0.5 for event in events] + [last + 0.5]
    states = [mapping_of(events[0].get("before"))] + [mapping_of(event.get("after")) for event in events]
    curves = {
        "nodes of a cell": [_nodes(state) for state in states],
        "edges that mix": [number(state.get("mixed_edges")) for state in states],
        "weights of the supernet": [number(state.get("parameters")) for state in states],
    }
    with style():
        figure, grid = panels(5.6, 1.9, rows=len(curves))
        for axes, (label, values) in zip(grid, curves.items(), strict=True):
            axes.stairs(values, starts, baseline=None, color=LINES[0], linewidth=1.8)
            axes.set_ylim(0, 1.1 * max(value for value in [1.0, *values] if math.isfinite(value)))
            axes.set_ylabel(label)
        grid[-1].set_xlabel("epoch")
        return render(figure, name, "Size of the cell and of the supernet over the epochs")


def grown_cells(record: Record) -> list[tuple[str, list[str]]]:
    """Return, for every growth, a title and the drawings of the cells that would be derived before and after it."""
    by_epoch = {number(event["epoch"]): event.get("architecture") for event in record.epochs("search")}
    found = []
    for event in growths(record)[:MOST_CELLS]:
        epoch = number(event["epoch"])
        what = "undone" if event.get("what") == "undone" else WORDS.get(str(event.get("step")), str(event.get("step")))
        drawings = [drawing for at in (epoch, epoch + 1) for drawing in _drawn(by_epoch.get(at))]
        if drawings:
            found.append((f"After epoch {epoch:g}: {what}", drawings))
    return found


def _nodes(state: Any) -> float:
    """Return the nodes of the largest cell of a logged form."""
    cells = mapping_of(mapping_of(state).get("cells"))
    return max((number(pick(cell, "nodes")) for cell in cells.values()), default=math.nan)


def _drawn(plain: Any) -> list[str]:
    """Return the drawings of all cells of a logged architecture; none of one that cannot be drawn."""
    try:
        architecture = Architecture.from_dict(plain)
        return [draw_cell(architecture, kind) for kind in architecture.cells]
    except InputError:
        return []
