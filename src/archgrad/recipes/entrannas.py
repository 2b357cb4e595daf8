"""EnTranNAS and EnTranNAS-DST: Engine-cells learn the choices, Transit-cells run what is currently derived.

No settings of the paper could be read; these are those of ISTA-NAS by the same first author (a reconstruction): batch
256, weights from 0.1 to 0.001, choices 6e-4.
"""

from __future__ import annotations

from archgrad.recipes.recipe import Recipe

__all__ = ["ENTRANNAS", "ENTRANNAS_DST"]

CITATION = (
    "Yang, You, Li, Wang, Qian: Towards Improving the Consistency, Efficiency, and Flexibility of Differentiable \
Neural Architecture Search. CVPR 2021, arXiv 2101.11342."
)

SENTENCE = {
    "space": {"name": "darts", "none": False},
    "layout": {"name": "engines-at"},
    "supernet": {"share_features": True},
    "schedule": {"name": "always"},
    "hypergradient": {"name": "first-order"},
    "data": {"batch": 256},
    "weights": {"rate": 0.1, "rate_end": 0.001},
    "choices": {"rate": 6e-4},
}

ENTRANNAS = Recipe(
    name="entrannas",
    summary="EnTranNAS: Engine-cells learn, Transit-cells run the derived cell; shared features; the cheapest",
    citation=CITATION,
    settings={
        **SENTENCE,
        "relaxation": {"name": "softmax", "start": 5.0, "end": 0.1},
        "derivation": {"name": "top-edges", "k": 2},
    },
)

ENTRANNAS_DST = Recipe(
    name="entrannas-dst",
    summary="EnTranNAS-DST: thresholds learn the topology too, any number of inputs a node",
    citation=CITATION,
    settings={**SENTENCE, "relaxation": {"name": "sparse"}, "derivation": {"name": "non-zero"}},
)
