"""Which decision earned what: the credit of an edge, and the search gradient that follows from a credit.

SNAS (arXiv 1812.09926) differentiates the loss through the relaxed sample. Its reading as reinforcement learning: every
edge has a cost of its own, the first-order contribution of its sample to the loss, and in expectation the search
gradient is a policy gradient with that cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from archgrad.choices import Choices, ChoiceTable, Mixing, Progress, Relaxation
from archgrad.engine.mixings import Noise
from archgrad.errors import InputError

__all__ = ["Credits", "HasLogDensity", "added_credits", "edge_credit", "log_density_of", "score_function_gradient"]

Credits = list[dict[str, Tensor]]
"""One mapping from cell kind to credits [rows] for every draw of an update."""


@runtime_checkable
class HasLogDensity(Protocol):
    """A relaxation whose samples have a density."""

    def log_density(self, table: ChoiceTable | Tensor, weights: Tensor, progress: Progress) -> Tensor:
        """Return log p(Z) of every row, [rows], differentiable in the table and not in the sample."""
        ...


def edge_credit(weights: Tensor, gradient: Tensor) -> Tensor:
    """Return c_ij = sum_k Z_ij^k dL/dZ_ij^k of every edge (SNAS, section 2.3): its cost, a negative reward.

    Since dL/dZ_ij^k = <dL/dx_j, O_k(x_i)>, this is the product of the node's gradient with what the edge adds to it.

    Args:
        weights: the sample Z, [rows, candidates].
        gradient: dL/dZ, of the same shape.

    Returns:
        [rows].
    """
    return (weights * gradient).sum(dim=1)


def added_credits(
    before: Credits, drawn: Sequence[Mapping[str, Tensor]], gradients: Iterable[Tensor | None]
) -> Credits:
    """Return the credits so far plus those of another micro-batch.

    Args:
        before: one mapping per draw; empty at first.
        drawn: for every draw the weights that the supernet was given, by cell kind.
        gradients: with respect to all of them, in order; None for a kind that no layer of this draw has.
    """
    found = iter(gradients)
    result: Credits = []
    for draw, weights in enumerate(drawn):
        credits = dict(before[draw]) if before else {}
        for kind, sample in weights.items():
            gradient = next(found)
            if gradient is not None:
                credit = edge_credit(sample.detach(), gradient.detach())
                credits[kind] = credits[kind] + credit if kind in credits else credit
        result.append(credits)
    return result


def log_density_of(relaxation: Relaxation) -> HasLogDensity:
    """Return the relaxation as one whose samples have a density.

    Raises:
        InputError: its mixings are not samples.
    """
    if not isinstance(relaxation, HasLogDensity):
        name = type(relaxation).__name__
        raise InputError(
            f"The relaxation {name} draws no samples, so a score-function (policy gradient) estimator has nothing to "
            "work with. Use --set relaxation=concrete, or the estimator that does without."
        )
    return relaxation


def score_function_gradient(
    choices: Choices,
    relaxation: Relaxation,
    progress: Progress,
    noise: Noise,
    rewards: Sequence[Mapping[str, Tensor]],
) -> list[Tensor]:
    """Return sum over draws and edges of c d log p(Z) / d choices: the score-function estimator of one sample.

    Args:
        choices: the tables.
        relaxation: must know the log density of its samples.
        progress: both clocks.
        noise: the draws that the rewards belong to.
        rewards: for every draw, cell kind -> cost c of every row, [rows]; constants.

    Raises:
        InputError: the relaxation draws no samples.
    """
    density = log_density_of(relaxation)
    total = next(choices.parameters()).new_zeros(())
    for draw, reward in zip(noise, rewards, strict=True):
        for kind, table in choices.items():
            if kind not in reward:
                continue
            with torch.no_grad():
                sample: Mixing = relaxation(table, progress, draw[kind])
            total = total + (reward[kind].detach() * density.log_density(table, sample.weights, progress)).sum()
    found = torch.autograd.grad(total, list(choices.parameters()), allow_unused=True)
    return [torch.zeros_like(c) if g is None else g for g, c in zip(found, choices.parameters(), strict=True)]
