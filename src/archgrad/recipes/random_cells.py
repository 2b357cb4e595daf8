"""A random cell of the space: the control that every search has to beat.

Choices are drawn with a wide spread and never learn, so the derived cell is uniformly random: every pair of edges of a
node and every operation but ``none`` is equally likely.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["RANDOM"]

RANDOM = Recipe(
    name="random",
    summary="a random cell of the space, the control of every comparison",
    citation="Li, Talwalkar: Random Search and Reproducibility for Neural Architecture Search. UAI 2019, 1902.07638.",
    settings={
        "epochs": 1,
        "space": {"name": "darts", "none": True},
        "relaxation": {"name": "softmax", "deviation": 1.0},
        "schedule": {"name": "never"},
    },
    keeps_epochs=True,
)
