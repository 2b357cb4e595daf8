"""Where things stand in the drawing of a cell: a layered graph in which every operation has a lane of its own.

Layers run from left to right. Nodes stand in node columns (a node is one layer after its latest source), labels of
operations in the label columns between them, and a connection that passes a column does so in a lane of its own. So
no label can cover another, a node or a line: the room is given out before anything is drawn. The method is Sugiyama's:
layers and order are found here, the coordinates in :mod:`archgrad.reporting.places`.
"""

from __future__ import annotations

from archgrad.architecture import Cell
from archgrad.reporting.notation import text_width
from archgrad.reporting.places import BEND_HEIGHT, LABEL_HEIGHT, LABEL_SIZE, NODE_SIZE, Box, Layout, Path, place

__all__ = ["LARGEST", "fits_a_picture", "lay_out"]

LARGEST = 100
"""Nodes or edges; more cannot be read in one picture."""

SWEEPS = 12


def fits_a_picture(cell: Cell) -> bool:
    """Say whether a cell has few enough nodes and edges to be read in one picture."""
    return max(cell.nodes, cell.inputs, len(cell.edges)) <= LARGEST


def lay_out(cell: Cell, labels: list[str], names: list[str]) -> Layout:
    """Give every node, label and line of a cell its place.

    Args:
        cell: one that fits a picture.
        labels: what stands on each edge.
        names: what stands in each node, the output's last.
    """
    layout = Layout([], [], [])
    layers = _layers(cell)
    for layer, name in zip(layers, names, strict=True):
        layout.nodes.append(len(layout.boxes))
        wide = text_width(name.replace("{", "").replace("}", ""), LABEL_SIZE) + 16
        layout.boxes.append(Box(2 * layer, max(NODE_SIZE, wide), NODE_SIZE))
    _connect(layout, cell, layers, labels)
    _order(layout, cell.inputs)
    place(layout)
    return layout


def _layers(cell: Cell) -> list[int]:
    """Return the layer of every node and of the output: one more than that of the latest source."""
    layers = [0] * cell.inputs + [1] * cell.nodes
    for node in range(cell.inputs, len(layers)):
        sources = [layers[edge.source] for edge in cell.edges if edge.target == node]
        layers[node] = 1 + max(sources, default=0)
    return [*layers, 1 + max(layers)]


def _label_columns(cell: Cell, layers: list[int]) -> list[int]:
    """Return for every edge the column of its label: the emptiest on its way, the short ways first."""
    load: dict[int, int] = {}
    columns = [0] * len(cell.edges)
    for _, k in sorted((layers[edge.target] - layers[edge.source], k) for k, edge in enumerate(cell.edges)):
        way = range(2 * layers[cell.edges[k].source] + 1, 2 * layers[cell.edges[k].target], 2)
        columns[k] = min(way, key=lambda column: (load.get(column, 0), column))
        load[columns[k]] = load.get(columns[k], 0) + 1
    return columns


def _connect(layout: Layout, cell: Cell, layers: list[int], labels: list[str]) -> None:
    """Lay a path of boxes for every operation and from every joined node to the output; number the columns."""
    label_columns = _label_columns(cell, layers)
    kept = sorted({2 * layer for layer in layers} | set(label_columns))  # a label column without labels is dropped
    ends = [(edge.source, edge.target) for edge in cell.edges] + [(node, len(layers) - 1) for node in cell.output]
    for k, (source, target) in enumerate(ends):
        path = Path([layout.nodes[source]])
        for column in kept:
            if not 2 * layers[source] < column < 2 * layers[target]:
                continue
            if k < len(labels) and column == label_columns[k]:
                path.edge, path.label = k, len(layout.boxes)
                layout.boxes.append(Box(column, text_width(labels[k], LABEL_SIZE) + 18, LABEL_HEIGHT))
            else:
                layout.boxes.append(Box(column, 0.0, BEND_HEIGHT))
            path.boxes.append(len(layout.boxes) - 1)
        path.boxes.append(layout.nodes[target])
        layout.paths.append(path)
    layout.columns = [[] for _ in kept]
    for k, box in enumerate(layout.boxes):
        box.column = kept.index(box.column)
        layout.columns[box.column].append(k)


def _order(layout: Layout, inputs: int) -> None:
    """Order every column so that few lines cross: barycentre sweeps to and fro, the best order seen wins."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for path in layout.paths:
        for a, b in zip(path.boxes, path.boxes[1:], strict=False):
            after.setdefault(a, []).append(b)
            before.setdefault(b, []).append(a)
    fixed = set(layout.nodes[:inputs])

    def crossings() -> int:
        rank = {k: position for column in layout.columns for position, k in enumerate(column)}
        total = 0
        for column in layout.columns:
            lines = [(rank[a], rank[b]) for a in column for b in after.get(a, [])]
            total += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(lines) for c, d in lines[:i])
        return total

    best, fewest = [list(column) for column in layout.columns], crossings()
    for sweep in range(SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 0
        near = before if forward else after
        columns = layout.columns if forward else layout.columns[::-1]
        for previous, column in zip(columns, columns[1:], strict=False):
            if fixed & set(column):
                continue
            rank = {k: position for position, k in enumerate(previous)}
            own = {k: position for position, k in enumerate(column)}
            middle = {k: sum(rank[n] for n in near[k]) / len(near[k]) if near.get(k) else float(own[k]) for k in column}
            column.sort(key=lambda k: (middle[k], own[k]))
        now = crossings()
        if now < fewest:
            best, fewest = [list(column) for column in layout.columns], now
    layout.columns = best
