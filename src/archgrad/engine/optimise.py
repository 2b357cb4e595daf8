"""Optimiser steps on stacked parameters: slices that a step did not use keep their values and their momentum."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archgrad.supernet.storage import Liveness

__all__ = ["masked_step"]


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
