"""DARTS-: beside every mixture an auxiliary skip connection helps the weights, and fades as the search goes on."""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["DARTS_MINUS"]

DARTS_MINUS = Recipe(
    name="darts-minus",
    summary="DARTS-: an auxiliary skip beside every mixture, fading linearly from 1 to 0",
    citation="Chu, Wang, Zhang, Lu, Wei, Yan: DARTS-: Robustly Stepping out of Performance Collapse Without \
Indicators. ICLR 2021, arXiv 2009.01027.",
    settings={
        "space": {"name": "darts", "none": False},
        "relaxation": {"name": "softmax", "skip": 1.0},
        "layout": {"name": "all-engines"},
        "schedule": {"name": "always"},
        "hypergradient": {"name": "first-order"},
        "derivation": {"name": "top-edges", "k": 2},
    },
)
