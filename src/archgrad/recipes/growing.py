"""Growing DARTS by network morphism: the size of the cell is not set by hand, it grows while it is trained.

The composition around the growth is DARTS' own, first order; when and how far cells grow is a reconstruction (see
:mod:`archgrad.engine.growing.growth`). The limit is the space's own number of nodes: 4 for images, 8 for recurrent
cells.
"""

from __future__ import annotations

from archgrad.recipes.darts import DARTS
from archgrad.recipes.recipe import Recipe

__all__ = ["GROWING", "GROWING_PRUNE", "RECURRENT_START"]

CITATION = (
    "Jie, Gao: Differentiable Neural Architecture Search with Morphism-based Transformable Backbone Architectures. "
    "2021, arXiv 2106.07211."
)

RECURRENT_START = 2
"""Nodes of the first cell where a recurrent one grows (a reconstruction); cells for images start with 1."""

GROWTH = {"name": "network-morphism", "start": 1}

GROWING = Recipe(
    name="growing",
    summary="growing DARTS: the cell grows from small to full size while it is searched, one derivation at the end",
    citation=CITATION,
    settings={**DARTS.settings, "growth": {**GROWTH, "mode": "grow-then-prune"}},
)

GROWING_PRUNE = Recipe(
    name="growing-prune",
    summary="growing DARTS: each growth first fixes the older nodes' edges, and only the new node is searched",
    citation=CITATION,
    settings={**DARTS.settings, "growth": {**GROWTH, "mode": "grow-and-prune"}},
)
