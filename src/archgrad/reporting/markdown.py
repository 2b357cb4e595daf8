"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown_table"]


def markdown_table(rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return rows as a Markdown table; bars within a cell are escaped.

    Args:
        rows: the headings first, all equally long.
        words: columns at the left that hold words; the others hold numbers and are set to the right.

    Returns:
        Lines joined by newlines, without one at the end.
    """
    head, *rest = rows
    lines = [head, [*["---"] * words, *["---:"] * (len(head) - words)], *rest]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
