"""GDAS: hard concrete samples, of which the drawn operation alone runs; weights and choices learn in turn.

Settings as in the paper where it says them: 240 epochs of batch 64, the temperature from 10 to 0.1, choices by Adam at
3e-4 with decay 1e-3. The reduction cell is searched too; the paper's faster variant with a fixed one (FRC) is not here.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["GDAS"]

GDAS = Recipe(
    name="gdas",
    summary="GDAS: one operation an edge is drawn and run, its gradient through the concrete sample",
    citation="Dong, Yang: Searching for a Robust Neural Architecture in Four GPU Hours. CVPR 2019, arXiv 1910.04465.",
    settings={
        "epochs": 240,
        "space": {"name": "darts", "none": True},
        "relaxation": {
            **{"name": "concrete", "start": 10.0, "end": 0.1, "hard": True, "sampled": True},
            **{"mean": 0.0, "deviation": 1e-3},
        },
        "layout": {"name": "all-engines"},
        "schedule": {"name": "always"},
        "hypergradient": {"name": "first-order"},
        "derivation": {"name": "top-edges", "k": 2},
    },
)
