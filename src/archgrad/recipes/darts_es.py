"""DARTS-ES: DARTS, first order, which stops where its loss gets sharp in the choices and goes back."""

from __future__ import annotations

from archgrad.recipes.darts import DARTS
from archgrad.recipes.recipe import Recipe

__all__ = ["DARTS_ES"]

DARTS_ES = Recipe(
    name="darts-es",
    summary="DARTS-ES: stops when the dominant eigenvalue of the choices' Hessian grows, and goes back",
    citation="Zela, Elsken, Saikia, Marrakchi, Brox, Hutter: Understanding and Robustifying Differentiable \
Architecture Search. ICLR 2020, arXiv 1909.09656.",
    settings={
        **DARTS.settings,
        "early_stop": "eigenvalue",
    },
)
