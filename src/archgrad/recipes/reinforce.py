"""REINFORCE with shared weights: what ENAS does, with a table of choices for its controller.

Every edge draws one operation and runs it alone; choices by Adam at ENAS' 3.5e-4. Its entropy bonus is not here.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["REINFORCE"]

REINFORCE = Recipe(
    name="reinforce",
    summary="REINFORCE with shared weights (after ENAS): policy gradient of sampled paths, moving-average baseline",
    citation="Pham, Guan, Zoph, Le, Dean: Efficient Neural Architecture Search via Parameter Sharing. ICML 2018, \
arXiv 1802.03268.",
    settings={
        "space": {"name": "darts", "none": True},
        "relaxation": {
            **{"name": "concrete", "start": 1.0, "end": 1.0, "hard": True, "sampled": True},
            **{"mean": 0.0, "deviation": 1e-3},
        },
        "layout": {"name": "all-engines"},
        "schedule": {"name": "reinforce"},
        "hypergradient": {"name": "first-order"},
        "derivation": {"name": "top-edges", "k": 2},
        "choices": {"rate": 3.5e-4},
    },
)
