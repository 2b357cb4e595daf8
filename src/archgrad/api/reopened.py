"""The data of a trained network, opened again to measure it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from archgrad.api.from_python import ask_again
from archgrad.errors import InputError
from archgrad.runs.settings import IN_MEMORY, IN_MEMORY_TEXT
from archgrad.tasks.data import Data, open_data, parse_spec, spec_of
from archgrad.tasks.spec_task import task_of

__all__ = ["BATCH", "is_of", "open_again"]

BATCH = 256
"""Examples at a time; the metrics do not depend on it."""


def open_again(
    about: Mapping[str, Any], spec: object, device: torch.device, fixed: Mapping[str, Any] | None = None
) -> Data:
    """Open the data that the network was trained on, or others by their SPEC.

    Args:
        about: what was saved with the network.
        spec: of other data, or series or text given from Python; None for those that it was trained on.
        device: where the batches are wanted.
        fixed: options of the data that belong to the network.

    Raises:
        InputError: they are missing, were given from Python, or have changed since.
    """
    known = str(about.get("data"))
    if spec is None:
        ask_again(known, "The network was trained on", "{what} to evaluate")
    options = dict(about.get("data_options") or {})
    if not (spec is None or (isinstance(spec, str) and spec == known)):
        same_kind = _kind(spec) == _kind(known)
        # how images are read belongs to the network, how many of them were used to the other data
        options = {k: v for k, v in options.items() if same_kind and k not in ("limit", "limit_test")}
    opened = open_data(
        known if spec is None else spec,
        seed=int(about.get("seed", 0)),
        batch=BATCH,
        choice_share=0.0,
        device=device,
        options={**options, **(fixed or {})},
    )
    if spec is None and opened.fingerprint != about.get("fingerprint"):
        raise InputError(
            f"The data {known} have changed since the network was trained, so what is test now may have been trained "
            f"on. To evaluate all the same, name them: data='{known}'."
        )
    return opened


def is_of(task: str, about: Mapping[str, Any], spec: str) -> bool:
    """Say whether the data that a SPEC names are of the network's task.

    Args:
        task: "forecasting" or "language".
        about: what was saved with the network.
        spec: of the data.

    Raises:
        InputError: it names no data, or hf:NAME cannot be found, reached or understood.
    """
    parse_spec(spec)  # for its error: to task_of all that it does not know are images
    return task_of(spec, about.get("data_options")) == task


def _kind(spec: object) -> str:
    """Return what kind of data is meant; series from Python are read as a CSV file is, and text as a file of text."""
    word = spec_of(spec)
    return {IN_MEMORY: "csv", IN_MEMORY_TEXT: "text"}.get(word) or parse_spec(word)[0]
