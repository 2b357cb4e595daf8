"""The picture of credits: which edge's decision earned what, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from archgrad.reporting.choice_plots import edge_places
from archgrad.reporting.figures import panels, render, style
from archgrad.reporting.record import Record, number

__all__ = ["credit", "credited_kinds"]

MOST_ROWS = 60


def credited_kinds(record: Record) -> list[str]:
    """Return the kinds of cells whose credits were logged."""
    kinds: dict[str, None] = {}
    for event in record.epochs("search"):
        kinds.update((kind, None) for kind in _credits(event))
    return list(kinds)


def credit(record: Record, kind: str, name: str) -> str | None:
    """Draw the mean reward of every edge of one cell over the epochs: minus its credit, so more is better.

    Args:
        record: the run.
        kind: the cell.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = [event for event in record.epochs("search") if _credits(event).get(kind)]
    rows = min(max((len(_credits(event)[kind]) for event in epochs), default=0), MOST_ROWS)
    if not rows:
        return None
    with style():
        import numpy

        values = numpy.full((rows, len(epochs)), math.nan)
        for when, event in enumerate(epochs):
            found = _credits(event)[kind][:rows]
            values[: len(found), when] = [-number(value) for value in found]
        finite = numpy.abs(values[numpy.isfinite(values)])
        if not finite.size:
            return None
        most = float(numpy.quantile(finite, 0.98)) or 1.0  # a single outlier must not wash the rest out
        figure, (axes,) = panels(6.2, 0.2 * rows + 0.9, left=0.75, right=0.75, top=0.15)
        first, last = (number(epochs[place]["epoch"]) for place in (0, -1))
        image = axes.imshow(
            values,
            aspect="auto",
            interpolation="none",
            cmap="RdBu",
            vmin=-most,
            vmax=most,
            extent=(first - 0.5, last + 0.5, rows, 0),
        )
        axes.set_yticks([row + 0.5 for row in range(rows)], [label for _, _, label in edge_places(record, kind, rows)])
        axes.tick_params(axis="y", length=0, labelsize=8)
        axes.set_xlabel("epoch")
        axes.grid(False)
        bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0.1, 0.02, 0.8)))
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
        return render(figure, name, f"Mean reward of every edge of the {kind} cell over the epochs")


def _credits(event: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the credits that an epoch logged, by cell kind; what is none is left out."""
    logged = event.get("credit")
    if not isinstance(logged, Mapping):
        return {}
    return {str(kind): rows for kind, rows in logged.items() if isinstance(rows, list)}
