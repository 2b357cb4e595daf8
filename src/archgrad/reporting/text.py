"""Draws an architecture's cells as plain lines of text for a terminal."""

from __future__ import annotations

from archgrad.architecture import Architecture, Cell
from archgrad.reporting.notation import edge_labels, is_recurrent, node_name, output_name, printable

__all__ = ["cell_lines", "draw_text"]


def draw_text(architecture: Architecture) -> str:
    """Draw all cells, one line an operation, grouped by the node that receives it.

    Control characters in names are replaced, so that a file from elsewhere cannot command the terminal.

    Args:
        architecture: what to draw.

    Returns:
        Lines joined by newlines, without colours and without a newline at the end.
    """
    return "\n\n".join("\n".join(cell_lines(kind, cell)) for kind, cell in architecture.cells.items())


def cell_lines(kind: str, cell: Cell) -> list[str]:
    """Return the lines of one cell: a heading, then every node with what flows into it."""
    recurrent = is_recurrent(kind, cell)
    labels = [printable(label) for label in edge_labels(cell)]
    sources = [node_name(edge.source, cell, recurrent) for edge in cell.edges]
    name_width = max((len(name) for name in sources), default=0)
    label_width = max((len(label) for label in labels), default=0)
    joined = ", ".join(str(node) for node in cell.output)
    lines = [f"{printable(kind)} cell: {output_name(recurrent)} = {cell.output_combine}({joined})"]
    for node in range(cell.inputs, cell.inputs + cell.nodes):
        incoming = [k for k, edge in enumerate(cell.edges) if edge.target == node]
        if not incoming:
            lines.append(f"  {node}: nothing leads here (zeros)")
        for position, k in enumerate(incoming):
            last = position == len(incoming) - 1
            joint = ("─" if len(incoming) == 1 else "┴") if last else ("┐" if position == 0 else "┤")
            end = f"─▶ {_node(node, cell)}" if last else ""
            rule = "─" * (label_width - len(labels[k]) + 2)
            lines.append(f"  {sources[k]:<{name_width}} ── {labels[k]} {rule}{joint}{end}")
    return lines


def _node(node: int, cell: Cell) -> str:
    """Return a computed node's number, in two-input cells with how it joins its operands."""
    return str(node) if cell.combine is None else f"{node} ({cell.combine[node - cell.inputs]} a and b)"
