"""What is learnt from the data that a SPEC names: known before they are opened, because settings depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archgrad.runs.settings import IN_MEMORY_TEXT

__all__ = ["task_of"]

TASKS = {
    "csv": "forecasting",
    "macro": "forecasting",
    "pydoc": "language",
    "text": "language",
    IN_MEMORY_TEXT: "language",
}
"""Name of data -> what is learnt from them; from others images."""


def task_of(spec: str, options: Mapping[str, Any] | None = None) -> str:
    """Return what is learnt: ``image``, ``forecasting`` or ``language``, as :class:`archgrad.tasks.data.Data` has it.

    Of hf:NAME the types of the columns are looked at, on the hub or in the folder.

    Args:
        spec: a SPEC, or the word that stands for one; what nobody knows is complained about elsewhere.
        options: what was set under ``data``.

    Raises:
        InputError: the data of hf:NAME cannot be found or reached, or their columns leave it open.
    """
    name, _, argument = spec.partition(":")
    if name == "hf":
        from archgrad.tasks.hugging_face import hugging_face_task

        return hugging_face_task(argument or None, options or {})
    return TASKS.get(name, "image")
