"""The trained network of a run: what ``evaluate`` and ``predict`` start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archgrad.api.train_result import TrainResult
from archgrad.errors import InputError
from archgrad.network.kinds import Network
from archgrad.network.saved import load_network
from archgrad.runs.directory import RunDirectory

__all__ = ["find_trained"]


def find_trained(run: object) -> tuple[Network, dict[str, Any]]:
    """Return a trained network in eval mode, and what was saved about it.

    Args:
        run: a run directory, or what :func:`archgrad.train` returned.

    Raises:
        InputError: it is neither, or nothing was trained there, or the file is damaged.
    """
    if isinstance(run, TrainResult):
        return run.network.eval(), run.metadata
    if not isinstance(run, (str, Path)):
        raise InputError(
            f"A {type(run).__name__} holds no trained network. Give a run directory, or what train returned."
        )
    directory = RunDirectory(run)
    if not directory.model.is_file():
        RunDirectory.open(run)  # says why, where this is no run at all
        raise InputError(f"The run {run} has no trained network yet. Train it first: archgrad train {run}")
    return load_network(directory.model)
