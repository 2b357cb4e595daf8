"""Data that were given from Python are in no run directory: what is said where they are needed again."""

from __future__ import annotations

from archgrad.errors import InputError
from archgrad.runs.settings import IN_MEMORY, IN_MEMORY_TEXT

__all__ = ["ask_again"]

FROM_PYTHON = {IN_MEMORY: "data", IN_MEMORY_TEXT: "text"}
"""What to call them, by the word that stands for a SPEC."""

EXAMPLES = {
    "data": "data=(images, labels), or of series data=frame",
    "text": "data=documents",
}
"""How they are given, by the same name."""


def ask_again(spec: str, done: str, wanted: str) -> None:
    """Refuse to open a SPEC that only says that the data were given from Python.

    Args:
        spec: as the run has it.
        done: what was done on the data.
        wanted: what to give now; ``{what}`` stands for the data.

    Raises:
        InputError: it is no SPEC that can be opened.
    """
    if what := FROM_PYTHON.get(spec):
        raise InputError(f"{done} {what} given from Python; give {wanted.format(what=what)}: {EXAMPLES[what]}.")
