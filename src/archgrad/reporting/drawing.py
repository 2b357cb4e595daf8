"""Draws an architecture's cells as one self-contained SVG, without any system package.

The same bytes for the same architecture. No style sheet, script, font or link: only shapes with their own colours,
which are readable on a light and on a dark page, so that the drawing can stand in a page, a README or a paper.
"""

from __future__ import annotations

import re

from archgrad.architecture import Architecture, Cell
from archgrad.reporting.layout import fits_a_picture, lay_out
from archgrad.reporting.notation import (
    COLOURS,
    INK,
    edge_labels,
    escape,
    is_recurrent,
    kind_of,
    kinds_in,
    node_name,
    output_name,
    shorten,
    text_width,
)
from archgrad.reporting.places import LABEL_HEIGHT, LABEL_SIZE, NODE_SIZE, Layout, Path
from archgrad.reporting.text import cell_lines

__all__ = ["draw_cell", "draw_svg"]

MARGIN = 14.0
HEADING = 34.0
LEGEND = 34.0
LINE = 16.0
LISTED = 500
"""Lines of a cell that is listed, because it is too large for a picture."""

NODE_COLOUR = "#5f6b7a"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',Helvetica,Arial,sans-serif"


def draw_svg(architecture: Architecture) -> str:
    """Draw all cells of an architecture below one another.

    Args:
        architecture: what to draw.

    Returns:
        One ``<svg>`` element without XML declaration: it may be written to a file or put into a page.
    """
    y, width, parts = MARGIN, 0.0, []
    for kind, cell in architecture.cells.items():
        drawing, cell_width, cell_height = _cell(kind, cell)
        parts.append(f'<g transform="translate({_n(MARGIN)} {_n(y)})">{drawing}</g>')
        y += cell_height + 2 * MARGIN
        width = max(width, cell_width)
    operations = [edge.operation for cell in architecture.cells.values() for edge in cell.edges]
    legend, legend_width = _legend(operations)
    parts.append(f'<g transform="translate({_n(MARGIN)} {_n(y)})">{legend}</g>')
    label = f"Cells of the space {architecture.space}: {', '.join(architecture.cells)}"
    return _document(parts, max(width, legend_width) + 2 * MARGIN, y + LEGEND, label)


def draw_cell(architecture: Architecture, kind: str) -> str:
    """Draw one cell alone, without legend.

    Args:
        architecture: what the cell belongs to.
        kind: a key of ``architecture.cells``.

    Returns:
        One ``<svg>`` element, as from :func:`draw_svg`.
    """
    drawing, width, height = _cell(kind, architecture.cells[kind])
    part = f'<g transform="translate({_n(MARGIN)} {_n(MARGIN)})">{drawing}</g>'
    return _document([part], width + 2 * MARGIN, height + 2 * MARGIN, f"{kind} cell")


def _document(parts: list[str], width: float, height: float, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(label)}" '
        f'font-family="{FONT}" font-size="{_n(LABEL_SIZE)}">' + "\n".join(parts) + "</svg>\n"
    )


def _cell(kind: str, cell: Cell) -> tuple[str, float, float]:
    """Return the shapes of one cell, its width and its height in pixels."""
    if not fits_a_picture(cell):
        return _listed(kind, cell)
    recurrent = is_recurrent(kind, cell)
    names = [_inside(node, cell, recurrent) for node in range(cell.inputs + cell.nodes)]
    names.append(output_name(recurrent))
    labels = edge_labels(cell)
    layout = lay_out(cell, labels, names)
    lines, boxes = [], []
    for path in layout.paths:
        if path.edge is None or path.label is None:
            lines.append(f'<path d="{_curve(layout, path)}" stroke="{INK}" stroke-width="1.2"/>')
            continue
        edge = cell.edges[path.edge]
        what = kind_of(edge.operation)
        weight = 1.0 if cell.weights is None else abs(cell.weights[path.edge])
        dashes = ' stroke-dasharray="6 4"' if what == "skip" else ""
        lines.append(
            f'<path d="{_curve(layout, path)}" stroke="{COLOURS[what]}" '
            f'stroke-width="{_n(1.2 + 1.2 * min(1.0, weight))}"{dashes}/>'
        )
        box = layout.boxes[path.label]
        source, target = (node_name(node, cell, recurrent) for node in (edge.source, edge.target))
        boxes.append(
            f"<g><title>{escape(f'{source} to {target}: {edge.operation}')}</title>"
            f'<rect x="{_n(box.left)}" y="{_n(box.y - LABEL_HEIGHT / 2)}" width="{_n(box.width)}" '
            f'height="{_n(LABEL_HEIGHT)}" rx="6" fill="{COLOURS[what]}"/>'
            f"{_text(labels[path.edge], box.x, box.y)}</g>"
        )
    reached = {edge.target for edge in cell.edges} | set(range(cell.inputs)) | {cell.inputs + cell.nodes}
    boxes += [_node(layout, k, name, k in reached, cell.inputs) for k, name in enumerate(names)]
    output = layout.boxes[layout.nodes[-1]]
    caption = _text(cell.output_combine, output.x, output.y + NODE_SIZE / 2 + 12, INK)
    heading = _heading(f"{shorten(kind)} cell")
    shapes = f'<g fill="none" stroke-linecap="round">{"".join(lines)}</g>{"".join(boxes)}{caption}'
    overhang = max(0.0, text_width(cell.output_combine, LABEL_SIZE) / 2 - output.width / 2)
    bottom = max(layout.height, output.y + NODE_SIZE / 2 + 22)
    return f'{heading}<g transform="translate(0 {_n(HEADING)})">{shapes}</g>', layout.width + overhang, HEADING + bottom


def _listed(kind: str, cell: Cell) -> tuple[str, float, float]:
    """Return a cell that is too large for a picture as lines of text, like :func:`_cell`."""
    title, *lines = cell_lines(kind, cell)
    left_out = len(lines) - LISTED
    if left_out > 0:
        lines = [*lines[:LISTED], f"  and {left_out:,} more lines"]
    spans = "".join(f'<tspan x="0" dy="{_n(LINE)}">{escape(line)}</tspan>' for line in lines)
    shapes = (
        f'{_heading(title)}<text x="0" y="{_n(HEADING - LINE)}" fill="{INK}" font-family="monospace" '
        f'xml:space="preserve">{spans}</text>'
    )
    longest = max(len(line) for line in lines) * LABEL_SIZE * 0.62  # the width of a monospaced letter, generously
    return shapes, max(longest, text_width(title, 15)), HEADING + LINE * len(lines)


def _heading(words: str) -> str:
    return f'<text x="0" y="14" fill="{INK}" font-size="15" font-weight="600">{escape(words)}</text>'


def _inside(node: int, cell: Cell, recurrent: bool) -> str:
    """Return what stands in a node; nodes of two-input cells also show how they join their operands."""
    name = node_name(node, cell, recurrent)
    if cell.combine is None or node < cell.inputs:
        return name
    return f"{name} {'×' if cell.combine[node - cell.inputs] == 'multiply' else '+'}"


def _node(layout: Layout, node: int, name: str, reached: bool, inputs: int) -> str:
    """Draw a node: filled, with an arrow head where lines arrive; a node that nothing reaches is hollow."""
    box = layout.boxes[layout.nodes[node]]
    y = box.y - NODE_SIZE / 2
    shape = f'x="{_n(box.left)}" y="{_n(y)}" width="{_n(box.width)}" height="{_n(NODE_SIZE)}" rx="{_n(NODE_SIZE / 2)}"'
    if not reached:
        return (
            f"<g><title>no operation leads here: zeros</title>"
            f'<rect {shape} fill="none" stroke="{INK}" stroke-dasharray="3 3"/>{_text(name, box.x, box.y, INK)}</g>'
        )
    arrow = ""
    if node >= inputs:
        arrow = f'<path d="M{_n(box.left - 7)} {_n(box.y - 5)}l8 5l-8 5z" fill="{NODE_COLOUR}"/>'
    return f'{arrow}<rect {shape} fill="{NODE_COLOUR}"/>{_name(name, box.x, box.y)}'


def _curve(layout: Layout, path: Path) -> str:
    """Return the path data: level through every column, an S between two of them."""
    first, *middle, last = (layout.boxes[k] for k in path.boxes)
    data = f"M{_n(first.right)} {_n(first.y)}"
    x, y = first.right, first.y
    for box in (*middle, last):
        half = (box.left - x) / 2
        data += f"C{_n(x + half)} {_n(y)} {_n(box.left - half)} {_n(box.y)} {_n(box.left)} {_n(box.y)}"
        x, y = box.right, box.y
        if box is not last:
            data += f"H{_n(x)}"
    return data


def _legend(operations: list[str]) -> tuple[str, float]:
    """Return one swatch and one word for every kind of operation that occurs, and the width of it all."""
    x, parts = 0.0, []
    for kind in kinds_in(operations):
        parts.append(f'<rect x="{_n(x)}" y="2" width="12" height="12" rx="3" fill="{COLOURS[kind]}"/>')
        parts.append(f'<text x="{_n(x + 18)}" y="12" fill="{INK}">{kind}</text>')
        x += 18 + text_width(kind, LABEL_SIZE) + 18
    return "".join(parts), x


def _text(text: str, x: float, y: float, fill: str = "#ffffff") -> str:
    """Return a line of text centred on a point."""
    return f'<text x="{_n(x)}" y="{_n(y + 4)}" fill="{fill}" text-anchor="middle">{escape(text)}</text>'


def _name(name: str, x: float, y: float, fill: str = "#ffffff") -> str:
    """Return a node's name centred on a point, with its subscripts lowered."""
    if "_" not in name:
        return _text(name, x, y, fill)
    spans, lowered = "", False
    for piece in re.split(r"(_\{[^}]*\}|_\w)", name):
        sub = piece.startswith("_")
        shift = (3 if sub else 0) - (3 if lowered else 0)
        small = ' font-size="9"' if sub else ""
        if piece:
            spans += f'<tspan dy="{shift}"{small}>{escape(piece.strip("_{}").replace("-", "−"))}</tspan>'
            lowered = sub
    return f'<text x="{_n(x)}" y="{_n(y + 4)}" fill="{fill}" text-anchor="middle" font-style="italic">{spans}</text>'


def _n(value: float) -> str:
    """Return a number with at most one decimal, the same text on every machine."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text
