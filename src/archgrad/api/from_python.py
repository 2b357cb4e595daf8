"""Data that were given from Python are in no run directory: what is said where they are needed again."""

from __future__ import annotations

from archgrad.runs.settings import IN_MEMORY, IN_MEMORY_TEXT

__all__ = ["EXAMPLES", "FROM_PYTHON"]

FROM_PYTHON = {IN_MEMORY: "data", IN_MEMORY_TEXT: "text"}
"""What to call them, by the word that stands for a SPEC."""

EXAMPLES = {
    "data": "data=(images, labels), or of series data=frame",
    "text": "data=documents",
}
"""How they are given, by the same name."""
