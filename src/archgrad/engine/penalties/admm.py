"""ADMM towards a discrete cell, the other regulariser of "On Constrained Optimization in Differentiable NAS"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from archgrad.choices import Mixing, transit
from archgrad.engine.derivations.derive import Derivation, kept
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.engine.penalties.proximity import frobenius
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace

__all__ = ["Admm", "admm_copy", "admm_dual", "admm_term"]


def admm_term(weights: Tensor, copy: Tensor, dual: Tensor, alive: Tensor, strength: float) -> Tensor:
    """Return (rho / 2) ||(a - Z + U) * mask||_F, not squared (arXiv 2106.11655, published code).

    Args:
        weights: a, [rows, candidates].
        copy: Z, the discrete copy.
        dual: U, the scaled dual variable.
        alive: bool mask.
        strength: rho.
    """
    return strength / 2 * frobenius((weights - copy + dual) * alive)


def admm_copy(mixing: Mixing, dual: Tensor, derivation: Derivation, cell: CellSpace) -> Tensor:
    """Return Z = P(a + U) as a 0/1 matrix [rows, candidates].

    Args:
        mixing: a and what of it runs.
        dual: U.
        derivation: the rule P.
        cell: the graph and the names of the candidates.
    """
    support = kept(derivation, Mixing(mixing.weights + dual, mixing.support), cell)
    return transit(support, mixing.weights).weights


def admm_dual(weights: Tensor, copy: Tensor, dual: Tensor, alive: Tensor, decay: float) -> Tensor:
    """Return U = (zeta U + a - Z) * mask."""
    return (decay * dual + weights - copy) * alive


@dataclass
class Admm(Penalty):
    """Alternating directions: the choices a are held near a discrete copy Z, and a dual U remembers the disagreement.

    Z starts as a itself and U as 0; after every so many choice steps Z and U are updated. a are the expected weights
    everywhere (the published code adds raw alpha to U, which is the same where weights are clipped: reconstruction for
    softmax). A cell that has grown begins afresh.

    Args:
        strength: rho (published code: 0.1).
        every: choice steps between two updates of Z and U (published code: 10).
        decay: zeta, the factor on U before the disagreement is added (published code as it runs: 1).

    Raises:
        InputError: an option is out of its range.
    """

    strength: float = 0.1
    every: int = 10
    decay: float = 1.0
    steps: int = field(init=False, default=0)
    copies: dict[str, Tensor] = field(init=False, default_factory=dict, repr=False)
    duals: dict[str, Tensor] = field(init=False, default_factory=dict, repr=False)
    residuals: dict[str, float] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"The strength of admm is {self.strength:g}; it must be at least 0.")
        if self.every < 1:
            raise InputError(f"admm updates its copy every {self.every} choice steps; it must be at least 1.")
        if not 0 <= self.decay <= 1:
            raise InputError(f"The decay of admm is {self.decay:g}; it must be from 0 to 1.")

    @property
    def on(self) -> Literal["choices", "both"]:
        """The choices' loss alone."""
        return "choices"

    def __call__(self, view: View) -> Tensor:
        """Return the term, a scalar."""
        terms = []
        for kind, (mixing, alive) in _cells(view).items():
            copy, dual = self._variables(kind, mixing.weights)
            terms.append(admm_term(mixing.weights, copy, dual, alive, self.strength))
        return torch.stack(terms).sum()

    @torch.no_grad()
    def after_choice_step(self, view: View) -> None:
        """Update Z and U where it is due, and the residuals."""
        self.steps += 1
        due = self.steps % self.every == 0
        away, moved = 0.0, 0.0
        for kind, (mixing, alive) in _cells(view).items():
            weights = mixing.weights.detach()
            copy, dual = self._variables(kind, weights)
            if due:
                new = admm_copy(mixing, dual, view.derivation, view.space.cells[kind])
                moved += float(((new - copy) ** 2).sum())
                self.copies[kind], self.duals[kind] = new, admm_dual(weights, new, dual, alive, self.decay)
                copy = new
            away += float((((weights - copy) * alive) ** 2).sum())
        self.residuals["primal_residual"] = away**0.5
        if due:
            self.residuals["dual_residual"] = self.strength * moved**0.5

    def report(self) -> dict[str, float]:
        """Return the residuals: ||a - Z||_F as it is now, rho times how far the last update moved Z."""
        return dict(self.residuals)

    def state_dict(self) -> dict[str, Any]:
        """Return Z and U by cell kind, the count of choice steps and the residuals."""
        return {
            "copies": dict(self.copies),
            "duals": dict(self.duals),
            "steps": self.steps,
            "residuals": dict(self.residuals),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        self.copies, self.duals = dict(state["copies"]), dict(state["duals"])
        self.steps, self.residuals = state["steps"], dict(state["residuals"])

    def _variables(self, kind: str, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return Z and U of a cell; begin with Z = a, U = 0 where there are none of this shape yet."""
        if kind not in self.copies or self.copies[kind].shape != weights.shape:
            self.copies[kind], self.duals[kind] = weights.detach().clone(), torch.zeros_like(weights)
        self.copies[kind], self.duals[kind] = self.copies[kind].to(weights), self.duals[kind].to(weights)
        return self.copies[kind], self.duals[kind]


def _cells(view: View) -> Mapping[str, tuple[Mixing, Tensor]]:
    """Return the expected mixing and the candidates that may be pruned of every cell kind."""
    return {kind: (view.expected[kind], table.prunable) for kind, table in view.choices.items()}
