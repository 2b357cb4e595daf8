"""SNAS: concrete samples, one backward pass for weights and choices, the strongest candidate of every edge.

Settings as in the paper and its public code: 150 epochs, 8 cells of 16 channels, batch 64, drop-path 0.3 in search, log
alpha by Adam at 3e-4, its gradient clipped at 10, everything but the validation part of the training data for both. The
strengths of the three levels of resource constraint are not in the paper; these are ours, see docs/snas.md.
"""

from __future__ import annotations

from typing import Any

from archgrad.recipes.recipe import Recipe

__all__ = ["SNAS", "SNAS_AGGRESSIVE", "SNAS_MILD", "SNAS_MODERATE"]

CITATION = "Xie, Zheng, Liu, Lin: SNAS: Stochastic Neural Architecture Search. ICLR 2019, arXiv 1812.09926."

SENTENCE = {
    "epochs": 150,
    "space": {"name": "darts", "none": True, "pool_norm": True},
    "relaxation": {"name": "concrete", "start": 1.0, "end": 0.03},
    "layout": {"name": "all-engines"},
    "schedule": {"name": "joint"},
    "derivation": {"name": "argmax-per-edge"},
    "supernet": {"drop_path": 0.3},
    "choices": {"clip": 10.0},
}


def _constrained(level: str, strength: float) -> Recipe:
    """Return SNAS with a resource constraint of one of the paper's three levels."""
    resource: dict[str, Any] = {"name": "resource", "estimator": "sample", "scale": "log", "strength": strength}
    return Recipe(
        name=f"snas-{level}",
        summary=f"SNAS with a {level} resource constraint: parameters, FLOPs and memory access",
        citation=CITATION,
        settings={**SENTENCE, "penalties": {"resource": resource}},
    )


SNAS = Recipe(
    name="snas",
    summary="SNAS: concrete samples, weights and choices in one backward pass",
    citation=CITATION,
    settings=SENTENCE,
)
SNAS_MILD = _constrained("mild", 1.5e-3)
SNAS_MODERATE = _constrained("moderate", 5e-3)
SNAS_AGGRESSIVE = _constrained("aggressive", 1e-2)
