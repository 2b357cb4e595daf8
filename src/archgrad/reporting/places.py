"""Gives the boxes of a drawing their coordinates, once their columns and the order in each column are known."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BEND_HEIGHT", "GAP", "LABEL_HEIGHT", "LABEL_SIZE", "NODE_SIZE", "Box", "Layout", "Path", "place"]

# all in pixels
LABEL_SIZE = 12.0
LABEL_HEIGHT = 24.0
NODE_SIZE = 34.0
BEND_HEIGHT = 3.0
GAP = 9.0
RELAXATIONS = 60


@dataclass
class Box:
    """A node, the label of an operation or a bend of a line; ``x`` and ``y`` are its centre, in pixels."""

    column: int
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0

    @property
    def left(self) -> float:
        """Left edge in pixels."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Right edge in pixels."""
        return self.x + self.width / 2


@dataclass
class Path:
    """A connection: indices into :attr:`Layout.boxes` from its source to its target, ``label`` being one of them."""

    boxes: list[int]
    label: int | None = None
    edge: int | None = None


@dataclass
class Layout:
    """The finished layout.

    Attributes:
        boxes: everything that has a place.
        nodes: box of each node of the cell; the last one is the output.
        paths: the operations in the order of ``cell.edges``, then the nodes that are joined into the output.
        width: of the whole, in pixels; the left edge is 0.
        height: of the whole, in pixels; the top is 0.
    """

    boxes: list[Box]
    nodes: list[int]
    paths: list[Path]
    width: float = 0.0
    height: float = 0.0
    columns: list[list[int]] = field(default_factory=list)


def place(layout: Layout) -> None:
    """Turn columns and orders into coordinates: short, straight lines, and nothing nearer than :data:`GAP`.

    Args:
        layout: with boxes, paths and columns; its boxes' ``x``, ``y``, its width and its height are set.
    """
    pull: dict[int, list[tuple[int, float]]] = {k: [] for column in layout.columns for k in column}
    for path in layout.paths:
        for a, b in zip(path.boxes, path.boxes[1:], strict=False):
            # lines that pass through should be straight; lines that end in a node may bend
            weight = 1.0 + 7.0 * (a not in layout.nodes) * (b not in layout.nodes)
            pull[a].append((b, weight))
            pull[b].append((a, weight))
    boxes = layout.boxes
    everything = [(k, 1.0) for k in pull]  # what nothing is tied to stays in the middle
    for column in layout.columns:
        _separate(layout, column, [0.0] * len(column))
    for _ in range(RELAXATIONS):
        for column in (*layout.columns, *layout.columns[::-1]):
            _separate(layout, column, [_centre(layout, pull[k] or everything) for k in column])
    top = min(box.y - box.height / 2 for box in boxes)
    for box in boxes:
        box.y = round(box.y - top, 1)
    layout.height = max(box.y + box.height / 2 for box in boxes)
    _spread(layout)


def _centre(layout: Layout, pull: list[tuple[int, float]]) -> float:
    """Return the weighted mean height of some boxes."""
    return sum(layout.boxes[k].y * weight for k, weight in pull) / sum(weight for _, weight in pull)


def _separate(layout: Layout, column: list[int], wanted: list[float]) -> None:
    """Move a column's boxes as near to the wanted heights as their sizes and order allow (least squares).

    With the least distances subtracted the order constraint is monotony, so pooling adjacent violators is exact.
    """
    boxes = layout.boxes
    offsets = [0.0]
    for a, b in zip(column, column[1:], strict=False):
        offsets.append(offsets[-1] + (boxes[a].height + boxes[b].height) / 2 + GAP)
    pools: list[tuple[float, int]] = []  # mean, members
    for value in (want - offset for want, offset in zip(wanted, offsets, strict=True)):
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (first, n), (second, m) = pools[-2:]
            pools[-2:] = [((first * n + second * m) / (n + m), n + m)]
    levels = [value for value, count in pools for _ in range(count)]
    for k, level, offset in zip(column, levels, offsets, strict=True):
        boxes[k].y = level + offset


def _spread(layout: Layout) -> None:
    """Give every column its x, with more room between columns where lines are steep."""
    boxes = layout.boxes
    steep = [0.0] * len(layout.columns)
    for path in layout.paths:
        for a, b in zip(path.boxes, path.boxes[1:], strict=False):
            steep[boxes[b].column] = max(steep[boxes[b].column], abs(boxes[a].y - boxes[b].y))
    x = 0.0
    for number, column in enumerate(layout.columns):
        width = max(boxes[k].width for k in column)
        if number:
            x += min(84.0, max(34.0, 0.5 * steep[number]))
        for k in column:
            boxes[k].x = round(x + width / 2, 1)
            # bends take the whole column, and labels of one column look like one: all as wide as the widest
            if k not in layout.nodes:
                boxes[k].width = width
        x += width
    layout.width = x
