"""DARTS, first and second order: softmax over every edge, a choice step before every weight step, top-2 edges.

The program's defaults are DARTS' own settings (papers' table: 50 epochs, 8 cells of 16 channels, batch 64, half of the
data for the choices), so little is left to say here.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["DARTS", "DARTS_SECOND_ORDER"]

CITATION = "Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search. ICLR 2019, arXiv 1806.09055."

SENTENCE = {
    "space": {"name": "darts", "none": True},
    "relaxation": {"name": "softmax"},
    "layout": {"name": "all-engines"},
    "schedule": {"name": "always"},
    "derivation": {"name": "top-edges", "k": 2},
}

DARTS = Recipe(
    name="darts",
    summary="DARTS, first order: bilevel, softmax, a choice step before every weight step",
    citation=CITATION,
    settings={**SENTENCE, "hypergradient": {"name": "first-order"}},
)

DARTS_SECOND_ORDER = Recipe(
    name="darts-second-order",
    summary="DARTS, second order: the choices' gradient through one unrolled weight step",
    citation=CITATION,
    settings={**SENTENCE, "hypergradient": {"name": "unrolled", "method": "finite_difference"}},
)
