"""What searches and trainings share about their optimisers: the rate over time, and state by parameter name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["cosine_rate", "linear_rate", "load_named_state", "named_state"]


def cosine_rate(start: float, end: float, progress: float) -> float:
    """Return end + (start - end) (1 + cos(pi progress)) / 2, the cosine schedule (arXiv 1608.03983) without restarts.

    Args:
        start: rate at progress 0.
        end: rate at progress 1.
        progress: epochs done / epochs, in [0, 1].
    """
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2.0


def linear_rate(start: float, end: float, progress: float) -> float:
    """Return start + (end - start) progress.

    Args:
        start: rate at progress 0.
        end: rate at progress 1.
        progress: epochs done / epochs, in [0, 1].
    """
    return start + (end - start) * progress


def named_state(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Return the optimiser's state by parameter name, so that it can be saved, padded and found again."""
    return {name: dict(optimizer.state[p]) for name, p in parameters.items() if p in optimizer.state}


def load_named_state(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor], state: Mapping[str, Mapping[str, Any]]
) -> None:
    """Take up a state that :func:`named_state` returned."""
    optimizer.state.clear()
    for name, entries in state.items():
        parameter = parameters[name]
        optimizer.state[parameter] = {
            key: _own(value, parameter) if isinstance(value, Tensor) else value for key, value in entries.items()
        }


def _own(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a copy beside the parameter; a count of steps stays on the CPU, where the optimisers want it."""
    return value.detach().clone().to(parameter.device if value.dim() else value.device)
