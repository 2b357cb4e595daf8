"""SDARTS-RS: DARTS, first order, whose weights learn under a random perturbation of the mixture."""

from __future__ import annotations

from archgrad.recipes.darts import DARTS
from archgrad.recipes.recipe import Recipe

__all__ = ["SDARTS_RS"]

SDARTS_RS = Recipe(
    name="sdarts-rs",
    summary="SDARTS-RS: the weights learn under a growing random perturbation of the mixture",
    citation="Chen, Hsieh: Stabilizing Differentiable Architecture Search via Perturbation-based Regularization. \
ICML 2020, arXiv 2002.05283.",
    settings={
        **DARTS.settings,
        "perturbation": {"name": "random", "start": 0.03, "end": 0.3},
    },
)
