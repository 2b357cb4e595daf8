"""Words and colours of the pictures: names of nodes, kinds of operations, one colour each, text made safe for XML."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape as _escape

from archgrad.architecture import Cell

__all__ = [
    "COLOURS",
    "INK",
    "edge_labels",
    "escape",
    "is_recurrent",
    "kind_of",
    "kinds_in",
    "node_name",
    "output_name",
    "printable",
    "shorten",
    "text_width",
]

LONGEST_LABEL = 36
ACTIVATIONS = frozenset({"tanh", "relu", "sigmoid", "gelu", "silu", "elu", "swish"})

# Each has a contrast of at least 4.5 to the white letters on it and of at least 3 to a black and a white page.
COLOURS = {
    "convolution": "#2563eb",
    "pooling": "#b45309",
    "skip": "#15803d",
    "activation": "#7c3aed",
    "none": "#6b7280",
    "other": "#be185d",
}
# The grey that is as far from white as from a near-black page: for all that stands on the bare page.
INK = "#767c85"

_WIDTHS = {
    **dict.fromkeys("iljI|.,:;'!", 0.34),
    **dict.fromkeys("ftr()[]{} -/", 0.42),
    **dict.fromkeys("mwMW@%", 0.98),
}


def kind_of(operation: str) -> str:
    """Return the kind of an operation, a key of :data:`COLOURS`, read from its name."""
    name = operation.lower()
    if name in ACTIVATIONS:
        return "activation"
    if name == "none":
        return "none"
    if "conv" in name:
        return "convolution"
    if "pool" in name:
        return "pooling"
    if "skip" in name or "identity" in name:
        return "skip"
    return "other"


def kinds_in(operations: Iterable[str]) -> list[str]:
    """Return the kinds that occur, in the order of :data:`COLOURS`."""
    present = {kind_of(operation) for operation in operations}
    return [kind for kind in COLOURS if kind in present]


def is_recurrent(kind: str, cell: Cell) -> bool:
    """Return whether a cell runs over time, which only changes how its inputs and its output are called."""
    return (
        kind == "recurrent" or cell.combine is not None or any(kind_of(e.operation) == "activation" for e in cell.edges)
    )


def node_name(node: int, cell: Cell, recurrent: bool) -> str:
    """Return the name of a node with subscripts as in TeX: inputs as in the papers, computed nodes by their number.

    Args:
        node: number of the node, inputs first.
        cell: the cell that it belongs to.
        recurrent: result of :func:`is_recurrent`.
    """
    if node >= cell.inputs:
        return str(node)
    if not recurrent:
        return f"c_{{k-{cell.inputs - node}}}"
    if cell.inputs == 1:
        return "x_t, h_{t-1}"
    return ("x_t", "h_{t-1}")[node] if cell.inputs == 2 else f"x_{node}"


def output_name(recurrent: bool) -> str:
    """Return the name of the cell's output."""
    return "h_t" if recurrent else "c_k"


def edge_labels(cell: Cell) -> list[str]:
    """Return what stands on each edge: the operation, the operand that it feeds, and its weight if it has one."""
    labels = []
    for k, edge in enumerate(cell.edges):
        operand = f" ({edge.operand})" if edge.operand else ""
        weight = f" × {cell.weights[k]:.2f}" if cell.weights is not None else ""
        labels.append(f"{shorten(edge.operation)}{operand}{weight}")
    return labels


def shorten(name: str) -> str:
    """Cut a name that would make the drawing unreadable; the tooltip has it in full."""
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def printable(text: str) -> str:
    """Return text without what neither XML nor a terminal should get: such characters become U+FFFD."""
    return "".join("\ufffd" if c < " " or _forbidden(ord(c)) else c for c in text)


def escape(text: str) -> str:
    """Return text that is safe between tags and in attributes."""
    return _escape(printable(text), {'"': "&quot;", "'": "&#39;"})


def _forbidden(point: int) -> bool:
    """Return whether a code point is a control, a lone surrogate or a non-character."""
    return 0x7F <= point <= 0x9F or 0xD800 <= point <= 0xDFFF or point in (0xFFFE, 0xFFFF)


def text_width(text: str, size: float) -> float:
    """Return an upper estimate of a text's width in pixels: that of a wide sans-serif face.

    Args:
        text: one line.
        size: font size in pixels.
    """
    return size * sum(_WIDTHS.get(c, 1.1 if ord(c) > 0x2FF else 0.76 if c.isupper() else 0.64) for c in text)
