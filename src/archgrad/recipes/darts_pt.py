"""DARTS-PT: DARTS, first order, whose cells are selected by what the supernet misses most."""

from __future__ import annotations

from archgrad.recipes.darts import DARTS
from archgrad.recipes.recipe import Recipe

__all__ = ["DARTS_PT"]

DARTS_PT = Recipe(
    name="darts-pt",
    summary="DARTS-PT: at the end every edge keeps the operation that the supernet misses most",
    citation="Wang, Cheng, Chen, Tang, Hsieh: Rethinking Architecture Selection in Differentiable NAS. ICLR 2021, \
arXiv 2108.04392.",
    settings={
        **DARTS.settings,
        "derivation": {"name": "darts-pt", "k": 2, "tune": 0.1},
    },
)
