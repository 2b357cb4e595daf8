"""Controls with shared weights: a supernet trained on single paths drawn at random, and cells chosen with it.

For every batch two edges into every node are drawn and one operation on each, all equally likely, and nothing else
runs; the cells that are judged at the end are drawn likewise. In the space of NAS-Bench-201 every edge draws one.
"""

from __future__ import annotations

from typing import Any

from archgrad.recipes.recipe import Recipe

__all__ = ["EVOLUTION_SHARED", "RANDOM_SHARED"]

PATHS: dict[str, Any] = {
    "space": {"name": "darts", "none": True},
    "relaxation": {
        **{"name": "concrete", "start": 1.0, "end": 1.0, "hard": True, "sampled": True, "inputs": 2},
        **{"mean": 0.0, "deviation": 0.0},
    },
    "layout": {"name": "all-engines"},
    "schedule": {"name": "never", "choice_share": 0.5},
}

RANDOM_SHARED = Recipe(
    name="random-shared",
    summary="random search with shared weights: single paths are trained, the best of many random cells is kept",
    citation="Li, Talwalkar: Random Search and Reproducibility for Neural Architecture Search. UAI 2019, 1902.07638.",
    settings={**PATHS, "derivation": {"name": "best-of-random", "k": 2}},
)

EVOLUTION_SHARED = Recipe(
    name="evolution-shared",
    summary="regularised evolution with shared weights: single paths are trained, cells evolve with them",
    citation="Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search. AAAI 2019, \
arXiv 1802.01548.",
    settings={**PATHS, "derivation": {"name": "evolution", "k": 2}},
)
