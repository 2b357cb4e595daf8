"""Mixing: how much of each candidate flows, and which candidates run. The hinge of every search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Mixing", "Support", "full_support", "support_of", "transit"]

Support = tuple[tuple[bool, ...], ...]
"""Which candidates run, rows x candidates: a hashable value on the CPU, computed once per table and step."""


@dataclass(frozen=True)
class Mixing:
    """What a relaxation hands to a cell. A cell runs exactly the support of the mixing that it is given.

    Args:
        weights: [rows, candidates], differentiable; 0 outside the support.
        support: which candidates run; it comes from the relaxation and is never inferred from the weights.
        auxiliary: None, or what a method adds beside the mixture.
    """

    weights: Tensor
    support: Support
    auxiliary: Tensor | None = None


def full_support(rows: int, candidates: int) -> Support:
    """Return the support in which everything runs."""
    return ((True,) * candidates,) * rows


def support_of(mask: Tensor) -> Support:
    """Return a bool tensor [rows, candidates] as a hashable support."""
    return tuple(tuple(bool(entry) for entry in row) for row in mask.tolist())


def transit(support: Support, like: Tensor) -> Mixing:
    """Return the mixing of a Transit-cell and of a derived child: the given support with weights 1.

    Args:
        support: which candidates run.
        like: gives the device and dtype of the weights.
    """
    return Mixing(torch.tensor(support, dtype=like.dtype, device=like.device), support)
