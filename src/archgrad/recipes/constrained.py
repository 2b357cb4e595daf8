"""Search as constrained optimisation: clipped weights, a schedule told by Fisher information, a regulariser.

The settings are those of the published code for CIFAR-10, which are DARTS' own and so the program's defaults. Their
last version, DARTS-PRIME, keeps schedule and proximity and goes back to the softmax.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["CONSTRAINED", "CONSTRAINED_ADMM", "DARTS_PRIME"]

CITATION = "Maile, Lecarpentier, Luga, Wilson: On Constrained Optimization in Differentiable Neural Architecture \
Search; from version 3 on DARTS-PRIME: Regularization and Scheduling Improve Constrained Optimization in \
Differentiable NAS. 2021, arXiv 2106.11655."

SENTENCE = {
    "layout": {"name": "all-engines"},
    "schedule": {"name": "informed", "ratio": 10.0, "smoothing": 0.2},
    "hypergradient": {"name": "first-order"},
    "derivation": {"name": "top-edges", "k": 2},
}
CLIPPED = {"space": {"name": "darts", "none": False}, "relaxation": {"name": "clipped"}}
PROXIMITY = {"proximity": {"name": "proximity", "strength": 0.1}}

CONSTRAINED = Recipe(
    name="constrained",
    summary="clipped weights, informed schedule, proximity to the derived cell",
    citation=CITATION,
    settings={**SENTENCE, **CLIPPED, "penalties": PROXIMITY},
)

CONSTRAINED_ADMM = Recipe(
    name="constrained-admm",
    summary="clipped weights, informed schedule, ADMM towards the derived cell",
    citation=CITATION,
    settings={**SENTENCE, **CLIPPED, "penalties": {"admm": {"name": "admm", "strength": 0.1, "every": 10}}},
)

DARTS_PRIME = Recipe(
    name="darts-prime",
    summary="DARTS-PRIME: softmax, informed schedule, proximity to the derived cell",
    citation=CITATION,
    settings={
        **SENTENCE,
        "space": {"name": "darts", "none": True},
        "relaxation": {"name": "softmax"},
        "penalties": PROXIMITY,
    },
)
