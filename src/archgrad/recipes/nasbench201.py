"""The settings that a recipe needs laid over it in the space of NAS-Bench-201: its network, and a rule that fits.

A cell there has one operation on every edge, so a rule that leaves edges out for want of room would never reach most of
the space: the strongest operation of every edge stands in for it, as in the benchmark's own baselines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archgrad import registry
from archgrad.recipes.recipe import Recipe
from archgrad.runs.layers import Layer, over, tidy
from archgrad.runs.settings import SearchConfig
from archgrad.space.nasbench201 import CELLS, CHANNELS, NAME

__all__ = ["STAND_INS", "TRAINING", "nasbench201_layer", "replaced_rule"]

STAND_INS: Mapping[str, str] = {"top-edges": "argmax-per-edge"}
"""A recipe's own derivation -> the one that stands in for it. Any other rule stays: the space itself sees to it that an
edge keeps its strongest operation alone."""

TRAINING: dict[str, Any] = {
    **{"cells": CELLS, "channels": CHANNELS, "epochs": 200, "batch": 256, "rate": 0.1, "rate_end": 0.0},
    **{"decay": 5e-4, "clip": None, "drop_path": 0.0, "auxiliary": 0.0, "cutout": 0},
}
"""How the benchmark's networks were trained (arXiv 2001.00326, table 1), in place of DARTS' evaluation; its momentum
was Nesterov's."""


def nasbench201_layer(recipe: Layer, above: Sequence[Layer]) -> dict[str, Any]:
    """Return the layer that a recipe needs over it where the space is NAS-Bench-201; empty elsewhere.

    The recipe's wish about ``none`` goes over to the space, the supernet has the benchmark's size.

    Args:
        recipe: the recipe's settings.
        above: the layers that are laid over them: file, ``--set``, words of the command line.
    """
    own = tidy(recipe, [])
    given: dict[str, Any] = own
    for each in above:
        given = over(given, tidy(each, []))
    space = given.get("space") or {}
    if not isinstance(space, Mapping) or space.get("name") != NAME:
        return {}
    layer: dict[str, Any] = {
        "space": {"name": NAME, "none": own.get("space", {}).get("none", True)},
        "supernet": {"cells": CELLS, "channels": CHANNELS},
        "train": dict(TRAINING),
    }
    if own.get("relaxation", {}).get("inputs"):  # every edge of a cell there has an operation
        layer["relaxation"] = {"name": own["relaxation"]["name"], "inputs": 0}
    stand_in = STAND_INS.get(_rule(own))
    if stand_in:
        layer["derivation"] = {"name": stand_in}
    return layer


def replaced_rule(config: SearchConfig) -> str | None:
    """Say in words which derivation stands in for the recipe's own, or return None if none does.

    Args:
        config: of the search.
    """
    if config.space.name != NAME or config.recipe not in registry.names("recipe"):
        return None
    recipe: Recipe = registry.get("recipe", config.recipe)
    own = _rule(tidy(recipe.settings, []))
    if config.derivation.name != STAND_INS.get(own):
        return None
    return f"{config.derivation.name} in place of the recipe's {own}: cells of {NAME} keep an operation on every edge"


def _rule(settings: Mapping[str, Any]) -> str:
    """Return the name of a recipe's own derivation."""
    name: str = (settings.get("derivation") or {}).get("name", "top-edges")
    return name
