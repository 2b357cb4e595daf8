"""Perturbation of the mixture: the weights learn to do well around it, so that the choices see a smoother loss.

SDARTS (arXiv 2002.05283) lets the weights minimise L_train(w, A + delta), A the mixing's weights, while the choices
minimise L_val(w, A) as ever. Every forward of the weights' loss in one update sees the same delta.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from archgrad.choices import ChoiceTable, Mixing, Progress
from archgrad.errors import InputError

__all__ = ["Perturbation", "RandomPerturbation", "perturbed_weights", "radius"]


class Perturbation(Protocol):
    """Changes the mixture that the weights' loss sees."""

    def noise(self, table: ChoiceTable, generator: torch.Generator) -> Tensor:
        """Return what is random about it in one update."""
        ...

    def __call__(self, mixing: Mixing, progress: Progress, noise: Tensor) -> Mixing:
        """Return the perturbed mixing; its support is the same."""
        ...


def radius(start: float, end: float, elapsed: float) -> float:
    """Return epsilon(t) = epsilon_0 + (epsilon_1 - epsilon_0) t / T."""
    return start + (end - start) * elapsed


def perturbed_weights(weights: Tensor, delta: Tensor, runs: Tensor) -> Tensor:
    """Return A + delta, brought back to what a row can be: none negative, with the total that the row had.

    A row that would lose everything stays as it was.

    Args:
        weights: A, [rows, candidates].
        delta: of the same shape.
        runs: bool, of the same shape; what does not run stays at 0.
    """
    moved = (weights + delta).clamp_min(0.0).masked_fill(~runs, 0.0)
    total = moved.sum(dim=1, keepdim=True)
    scaled = moved * weights.sum(dim=1, keepdim=True) / total.clamp_min(torch.finfo(weights.dtype).tiny)
    return torch.where(total > 0, scaled, weights)


@dataclass(frozen=True)
class RandomPerturbation(Perturbation):
    """A perturbation drawn uniformly from a box of radius epsilon, which grows over the search (SDARTS-RS).

    It perturbs the mixing's weights, not the logits, and brings every row back to its total (reconstructions).

    Args:
        start: epsilon at the start (public code: 0.03).
        end: epsilon at the end, reached linearly (public code: 0.3).

    Raises:
        InputError: a radius is negative.
    """

    start: float = 0.03
    end: float = 0.3

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if getattr(self, name) < 0:
                raise InputError(f"perturbation.{name} is {getattr(self, name):g}; it must be at least 0.")

    def noise(self, table: ChoiceTable, generator: torch.Generator) -> Tensor:
        """Return numbers uniform on (-1, 1) of the table's shape."""
        rows, candidates = table.logits.shape
        return (2.0 * torch.rand(rows, candidates, generator=generator) - 1.0).to(table.logits)

    def __call__(self, mixing: Mixing, progress: Progress, noise: Tensor) -> Mixing:
        """Return the mixing with its weights moved by epsilon times the noise."""
        delta = radius(self.start, self.end, progress.elapsed) * noise
        runs = torch.tensor(mixing.support, device=noise.device)
        return replace(mixing, weights=perturbed_weights(mixing.weights, delta, runs))
