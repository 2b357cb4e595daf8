"""Gradients that are differentiated again: the fast evaluation's own backward passes give way to plain formulas there.

They cost what the reference costs, in time and memory, which the log says once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["differentiable"]

log = logging.getLogger(__name__)


def differentiable(
    out: Tensor, tensors: Sequence[Tensor | None], gradient: Tensor, needs: Sequence[bool]
) -> list[Tensor | None]:
    """Return the gradients of the tensors, where needed, so that they can be differentiated again.

    Args:
        out: computed from the tensors in plain differentiable operations.
        tensors: what it was computed from; None, which needs none, for what there is not.
        gradient: of ``out``.
        needs: of every tensor, whether its gradient is wanted.
    """
    _say_once()
    wanted = [tensor for tensor, need in zip(tensors, needs, strict=True) if need and tensor is not None]
    found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True, allow_unused=True))
    return [next(found) if need else None for need in needs]


@lru_cache(maxsize=1)
def _say_once() -> None:
    log.info("A gradient is differentiated again: there the fast evaluation takes the plain formulas.")
