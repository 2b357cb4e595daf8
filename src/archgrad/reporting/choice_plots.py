"""The pictures of the choices: the expected weight of every candidate on every edge, and the operations kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.reporting.figures import panels, render, style
from archgrad.reporting.notation import COLOURS, kind_of, kinds_in, shorten
from archgrad.reporting.record import Record, number

__all__ = ["cell_kinds", "edge_places", "operations", "weights"]

MOST_EPOCHS = 60
MOST_ROWS = 60
INPUTS = 2  # of a cell, when no architecture says


def cell_kinds(record: Record) -> list[str]:
    """Return the kinds of cells whose weights were logged."""
    kinds: dict[str, None] = {}
    for event in record.epochs("search"):
        table = event.get("weights")
        if isinstance(table, Mapping):
            kinds.update((str(kind), None) for kind in table)
    return list(kinds)


def weights(record: Record, kind: str, name: str) -> str | None:
    """Draw how the expected weights of one cell moved: a small heat map an edge, candidates over epochs.

    The maps stand as in the cell's table of edges: a line a target, a column a source.

    Args:
        record: the run.
        kind: the cell.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    epochs = [event for event in record.epochs("search") if _table(event, kind)]
    # A grown cell has more rows at the end: what came first is then blank for them.
    final = _table(epochs[-1], kind) if epochs else []
    rows = min(len(final), MOST_ROWS)
    columns = max((len(row) for row in final), default=0)
    if not rows or not columns:
        return None
    names = _candidates(record, kind, columns)
    numbers = [number(event["epoch"]) for event in epochs]
    with style():
        import numpy

        values = numpy.full((rows, columns, len(epochs)), math.nan)
        for when, event in enumerate(epochs):
            for row, line in enumerate(_table(event, kind)[:rows]):
                values[row, : len(line), when] = [number(value) for value in line[:columns]]
        largest = float(numpy.nanmax(values)) if numpy.isfinite(values).any() else 1.0
        places = edge_places(record, kind, rows)
        across = 1 + max(source for _, source, _ in places)
        down = 1 + max(target for target, _, _ in places)
        high = max(0.9, 0.15 * columns)  # inches of one map; its title is 0.3
        left = 0.25 + 0.085 * max(len(name) for name in names)
        figure, (axes,) = panels(
            left + 1.45 * across + 0.75, (high + 0.3) * down + 0.4, left=left, right=0.75, bottom=0.3
        )
        # one panel for all maps: a panel each would take seconds
        gap = 0.3 / high
        tops = set()
        for row, (target, source, label) in enumerate(places):
            start, top = 1.1 * source, (1 + gap) * target
            image = axes.imshow(
                values[row],
                aspect="auto",
                interpolation="none",
                cmap="viridis",
                vmin=0.0,
                vmax=max(largest, 2 / columns),  # undecided edges have the colour in the middle
                extent=(start, start + 1, top + 1, top),
            )
            axes.text(start + 0.5, top - 0.06, label, ha="center", va="bottom", fontsize=9)
            tops.add(top)
        axes.set_xlim(0, 1.1 * across)
        axes.set_ylim((1 + gap) * down - 0.8 * gap, -gap)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set_yticks(
            [top + (k + 0.5) / columns for top in sorted(tops) for k in range(columns)], [*names] * len(tops)
        )
        axes.tick_params(length=0, labelsize=7.5)
        axes.set_xticks([0.5], [f"epochs {numbers[0]:g} to {numbers[-1]:g} in every map"])
        bar = figure.colorbar(image, cax=axes.inset_axes((1.0, 0.25, 0.02, 0.5)))
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
        return render(figure, name, f"Expected weights of every edge of the {kind} cell over the epochs")


def operations(record: Record, kind: str, name: str) -> str | None:
    """Draw which operations one cell would have kept if the search had ended at each epoch.

    Args:
        record: the run.
        kind: the cell.
        name: unique in the page.

    Returns:
        One ``<svg>`` element, or None when there is nothing to draw.
    """
    counts = [(number(event["epoch"]), _kept(event, kind)) for event in record.epochs("search")]
    counts = [(epoch, count) for epoch, count in counts if count]
    counts = counts[:: max(1, math.ceil(len(counts) / MOST_EPOCHS))]
    if not counts:
        return None
    total = Counter[str]()
    for _, count in counts:
        total.update(count)
    order = {what: place for place, what in enumerate(kinds_in(total))}
    present = sorted(total, key=lambda operation: (order[kind_of(operation)], operation))
    with style():
        from matplotlib.colors import to_rgb
        from matplotlib.ticker import MaxNLocator

        below_axis = 0.55 + 0.22 * math.ceil(len(present) / 3)
        figure, (axes,) = panels(5.6, 2.7 + below_axis, bottom=below_axis)
        epochs = [epoch for epoch, _ in counts]
        edges = [epoch - 0.5 for epoch in epochs] + [epochs[-1] + 0.5]
        below = [0] * len(counts)
        seen = Counter[str]()
        for operation in present:
            what = kind_of(operation)
            # each further operation of a kind is a lighter shade of its colour
            mix = 0.75 * (1 - 0.6 ** seen[what])
            seen[what] += 1
            colour = tuple(part + (1 - part) * mix for part in to_rgb(COLOURS[what]))
            above = [a + count[operation] for a, (_, count) in zip(below, counts, strict=True)]
            label = shorten(operation).lstrip("_") or "?"
            axes.stairs(above, edges, baseline=below, fill=True, color=colour, linewidth=0, label=label)
            below = above
        axes.set_ylabel("operations kept")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.grid(axis="x", visible=False)
        axes.margins(x=0)
        figure.legend(loc="lower center", ncols=3)
        return render(figure, name, f"Operations that the {kind} cell keeps over the epochs")


def _table(event: Mapping[str, Any], kind: str) -> list[list[Any]]:
    """Return the weights of one cell at one epoch, rows by candidates; empty when they are not there."""
    tables = event.get("weights")
    table = tables.get(kind) if isinstance(tables, Mapping) else None
    return [row for row in table if isinstance(row, list)] if isinstance(table, list) else []


def _kept(event: Mapping[str, Any], kind: str) -> Counter[str]:
    """Return how often each operation occurs in one cell of the architecture of one epoch."""
    value: Any = event
    for key in ("architecture", "cells", kind, "edges"):
        value = value.get(key) if isinstance(value, Mapping) else None
    edges = value if isinstance(value, list) else []
    return Counter(str(edge[2]) for edge in edges if isinstance(edge, list) and len(edge) > 2)


def edge_places(record: Record, kind: str, rows: int) -> list[tuple[int, int, str]]:
    """Return (line, column, label) of every row, in the one order of edges; rows without an edge get a number."""
    cell = record.architecture.cells.get(kind) if record.architecture else None
    inputs = cell.inputs if cell else INPUTS
    places: list[tuple[int, int, str]] = []
    target = inputs
    while len(places) < rows:
        places += [(target - inputs, source, f"{source} → {target}") for source in range(target)]
        target += 1
    if len(places) == rows:
        return places
    # operands or combiners have tables of their own shape
    across = min(5, rows)
    return [(row // across, row % across, f"row {row}") for row in range(rows)]


def _candidates(record: Record, kind: str, columns: int) -> Sequence[str]:
    """Return the names of the candidates, from the log or from the space that was set; numbers when neither fits."""
    logged = record.last("start", "search").get("operations")
    logged = logged.get(kind) if isinstance(logged, Mapping) else logged
    if not isinstance(logged, list):
        logged = _of_space(record.config.get("space"), kind)
    if len(logged) == columns:
        return [shorten(str(name)) for name in logged]
    return [f"candidate {k + 1}" for k in range(columns)]


def _of_space(setting: Any, kind: str) -> list[str]:
    """Return the candidates of one cell of a space as the settings name it; none when it cannot be built here."""
    from archgrad import space

    try:
        cells = space.get(**(setting if isinstance(setting, Mapping) else {"name": setting})).cells
    except (ArchgradError, TypeError):  # a plugin's space, or settings that are none
        return []
    return list(cells[kind].operations) if kind in cells else []
