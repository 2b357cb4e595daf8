"""DrNAS: weights drawn from a Dirichlet distribution, whose concentrations learn by the pathwise gradient.

Settings of the public code for NAS-Bench-201 as far as they are known (a reconstruction): 100 epochs of batch 64, the
anchor's strength 1e-3 in place of the choices' weight decay. The progressive scheme of the paper, which prunes the
candidates half-way while more channels flow through the mixing, is not here; ``supernet.partial`` gives its channels.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["DRNAS"]

DRNAS = Recipe(
    name="drnas",
    summary="DrNAS: Dirichlet weights, pathwise gradient, anchored concentrations",
    citation="Chen, Wang, Cheng, Tang, Hsieh: DrNAS: Dirichlet Neural Architecture Search. ICLR 2021, 2006.10355.",
    settings={
        "epochs": 100,
        "space": {"name": "darts", "none": True},
        "relaxation": {"name": "dirichlet"},
        "layout": {"name": "all-engines"},
        "schedule": {"name": "always"},
        "hypergradient": {"name": "first-order"},
        "penalties": {"anchor": {"name": "anchor", "strength": 1e-3}},
        "derivation": {"name": "top-edges", "k": 2},
        "choices": {"decay": 0.0},
    },
)
