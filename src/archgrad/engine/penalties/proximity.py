"""Proximity to a discrete cell, the regulariser of DARTS-PRIME: the choices are drawn to what would be derived now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from archgrad.choices import ChoiceTable, Mixing, Support, transit
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.errors import InputError

__all__ = ["Proximity", "decidedness", "distance", "frobenius", "proximity"]

FLOOR = 1e-4
"""Where the adjusted form stops to follow small weights (published code)."""


def frobenius(matrix: Tensor) -> Tensor:
    """Return the Frobenius norm, not squared; its gradient at 0 is 0."""
    norm: Tensor = torch.linalg.vector_norm(matrix)
    return norm


def decidedness(weights: Tensor) -> Tensor:
    """Return g(a) = 4 (clamp(a, 1e-4, 1)^(ln 2 / ln K) - 1/2)^2: 0 at the undecided 1/K, 1 at a = 1.

    Args:
        weights: a, [rows, K].
    """
    candidates = weights.shape[1]
    if candidates < 2:
        return torch.ones_like(weights)  # nothing to decide
    return 4.0 * (weights.clamp(FLOOR, 1.0) ** (math.log(2) / math.log(candidates)) - 0.5) ** 2


def distance(mixing: Mixing, projection: Support, elapsed: float | None = None) -> Tensor:
    """Return ||a - P(a)||_F of one cell, P(a) held constant (arXiv 2106.11655, proximity).

    Args:
        mixing: a, an expected mixing.
        projection: what the derivation rule would keep of it, read as a 0/1 matrix.
        elapsed: for the adjusted form, whose difference is multiplied by (1 - elapsed) g(a) + elapsed, the factor held
            constant too; None for the plain one.
    """
    difference = mixing.weights - transit(projection, mixing.weights).weights
    if elapsed is not None:
        difference = difference * ((1.0 - elapsed) * decidedness(mixing.weights.detach()) + elapsed)
    return frobenius(difference)


def proximity(
    expected: Mapping[str, Mixing],
    projections: Mapping[str, Support],
    strength: float,
    elapsed: float,
    adjusted: bool = False,
) -> Tensor:
    """Return (t / T_max) (rho / 2) sum over cell kinds of ||a - P(a)||_F.

    Args:
        expected: a by cell kind.
        projections: P(a) by cell kind.
        strength: rho.
        elapsed: t / T_max.
        adjusted: whether undecided weights are left alone early, see :func:`distance`.
    """
    terms = [distance(mixing, projections[kind], elapsed if adjusted else None) for kind, mixing in expected.items()]
    return elapsed * (strength / 2) * torch.stack(terms).sum()


@dataclass(frozen=True)
class Proximity(Penalty):
    """Draws the expected mixing to its own projection, ever more strongly, in the choices' loss alone.

    Args:
        strength: rho; the coefficient rises linearly from 0 to rho / 2 (published code: 0.1).
        adjusted: the variant of the published code that leaves undecided weights alone early (no gradient through
            that factor: reconstruction).

    Raises:
        InputError: the strength is negative.
    """

    strength: float = 0.1
    adjusted: bool = False

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"The strength of proximity is {self.strength:g}; it must be at least 0.")

    @property
    def on(self) -> Literal["choices", "both"]:
        """The choices' loss alone."""
        return "choices"

    def __call__(self, view: View) -> Tensor:
        """Return the term, a scalar."""
        expected = {
            kind: _settled(mixing, view.projections[kind], dict(view.choices.items())[kind])
            for kind, mixing in view.expected.items()
        }
        return proximity(expected, view.projections, self.strength, view.progress.elapsed, self.adjusted)


def _settled(mixing: Mixing, projection: Support, table: ChoiceTable) -> Mixing:
    """Return the mixing with its young rows at their projection, where nothing draws on them."""
    if table.young is None:
        return mixing
    kept = transit(projection, mixing.weights).weights
    return replace(mixing, weights=torch.where(table.young[:, None], kept, mixing.weights))
