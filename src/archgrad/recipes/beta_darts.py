"""beta-DARTS: DARTS, first order, whose choices are held together by beta decay in place of weight decay."""

from __future__ import annotations

from archgrad.recipes.darts import DARTS
from archgrad.recipes.recipe import Recipe

__all__ = ["BETA_DARTS"]

BETA_DARTS = Recipe(
    name="beta-darts",
    summary="beta-DARTS: first order, the logsumexp of every edge decayed ever more strongly",
    citation="Ye, Li, Li, Chen, Fan, Ouyang: beta-DARTS: Beta-Decay Regularization for Differentiable Architecture \
Search. CVPR 2022, arXiv 2203.01665.",
    settings={
        **DARTS.settings,
        "penalties": {"beta-decay": {"name": "beta-decay", "strength": 50.0}},
        "choices": {"decay": 0.0},
    },
)
