"""Optimiser steps on stacked parameters: slices that a step did not use keep their values and their momentum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from archgrad.supernet.storage import Liveness

__all__ = ["cosine_rate", "load_named_state", "masked_step", "named_state"]


def cosine_rate(start: float, end: float, progress: float) -> float:
    """Return end + (start - end) (1 + cos(pi progress)) / 2, the cosine schedule (arXiv 1608.03983) without restarts.

    Args:
        start: rate at progress 0.
        end: rate at progress 1.
        progress: epochs done / epochs, in [0, 1].
    """
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2.0


@torch.no_grad()
def masked_step(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor], live: Liveness) -> None:
    """Step as if every slice were a parameter of its own: unused ones get no decay, no momentum, no update.

    Exactly so for SGD. Optimisers that count steps (Adam) count them per stack: a slice that was left out gets the bias
    correction of the stack's count, not of its own.

    Args:
        optimizer: any torch optimiser over these parameters.
        parameters: name -> parameter, gradients set.
        live: which slices were used; an empty set means that the parameter is left alone as a whole.
    """
    kept: list[tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]] = []
    for name, rows in live.items():
        parameter = parameters[name]
        if not rows:
            parameter.grad = None  # the optimiser passes over it
            continue
        dead = torch.tensor([k for k in range(parameter.shape[0]) if k not in rows], device=parameter.device)
        if not len(dead):
            continue
        before = {
            key: value[dead].clone()
            for key, value in optimizer.state[parameter].items()
            if isinstance(value, Tensor) and value.shape == parameter.shape
        }
        kept.append((parameter, dead, parameter[dead].clone(), before))
    optimizer.step()
    for parameter, dead, values, before in kept:
        parameter[dead] = values
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value[dead] = before.get(key, torch.zeros_like(values))


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
