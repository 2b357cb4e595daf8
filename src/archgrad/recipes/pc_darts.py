"""PC-DARTS: a quarter of the channels goes through the mixture, and edges have normalised weights of their own.

Settings of the paper: 50 epochs of which the first 15 leave the choices alone, batch 256, weights from 0.1, choices at
6e-4. That ``rate_end`` is DARTS' is a reconstruction.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["PC_DARTS"]

PC_DARTS = Recipe(
    name="pc-darts",
    summary="PC-DARTS: partial channels, edge normalisation, warm-up of the weights",
    citation="Xu, Xie, Zhang, Chen, Qi, Tian, Xiong: PC-DARTS: Partial Channel Connections for Memory-Efficient \
Architecture Search. ICLR 2020, arXiv 1907.05737.",
    settings={
        "space": {"name": "darts", "none": True},
        "supernet": {"partial": 4},
        "relaxation": {"name": "softmax", "edges": True},
        "layout": {"name": "all-engines"},
        "schedule": {"name": "always", "warmup": 0.3},
        "hypergradient": {"name": "first-order"},
        "derivation": {"name": "top-edges", "k": 2},
        "data": {"batch": 256},
        "weights": {"rate": 0.1, "rate_end": 0.001},
        "choices": {"rate": 6e-4},
    },
)
