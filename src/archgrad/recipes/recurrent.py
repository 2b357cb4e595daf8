"""The settings that a recipe for images needs laid over it when a recurrent cell is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archgrad import registry
from archgrad.recipes.growing import RECURRENT_START
from archgrad.recipes.text import text_layer
from archgrad.runs.layers import Layer, over, tidy
from archgrad.runs.parts import options_of
from archgrad.tasks.spec_task import task_of

__all__ = ["DEFAULT_SPACE", "TRAINING", "is_recurrent_space", "recurrent_layer"]

DEFAULT_SPACE = "darts-rnn"
"""The space of a search on series where none is named."""

ENGINES = 0.25
"""Share of a window, at its end, whose steps are Engine-cells where a recipe has some (a reconstruction)."""

TRAINING: dict[str, Any] = {
    **{"epochs": 30, "batch": 32, "optimizer": "adam", "rate": 1e-3, "rate_end": 0.0, "rate_schedule": "cosine"},
    **{"warmup": 0, "clip": 1.0, "decay": 0.0, "drop_path": 0.0, "auxiliary": 0.0, "label_smoothing": 0.0},
}
"""How a found cell is trained on series, in place of DARTS' evaluation on images: as the LSTM and the GRU that it is
compared with (:func:`archgrad.tasks.forecasting_baselines.fit_network`)."""


CHOICE_CLIP = 0.01
"""Largest norm of the choices' gradient on series. Over the 96 steps of a window the gradients of fresh weights
explode: 2,127 at the first step on ETTh1, 0.005 once the weights have learnt. Adam's second moment remembers one such
gradient for a thousand steps, in which the choices then stand still. DARTS, on text with 35 steps, does not clip
them."""


def is_recurrent_space(name: str) -> bool:
    """Say whether a registered space holds cells over time; what is not registered is complained about elsewhere."""
    return name in registry.names("space") and registry.get("space", name).skeleton().form == "time"


def recurrent_layer(recipe: Layer, above: Sequence[Layer], series: bool = False) -> dict[str, Any]:
    """Return the layer that a recipe for images needs over it when a recurrent cell is searched; empty if none is.

    One edge a node is kept (DARTS, recurrent cells), a cell that grows starts with 2 nodes, the recipe's wish about
    ``none`` goes over to the space, and the weights learn with a larger rate and a tighter clip, as recurrent networks
    do (a reconstruction: DARTS' own values, rate 20 and clip 0.25, are for its language model, and are what text gets).
    On series the choices' gradient is clipped at :data:`CHOICE_CLIP`.
    The found cell trains as :data:`TRAINING` says, on text as :func:`archgrad.recipes.text.text_training`.

    Args:
        recipe: the recipe's settings.
        above: the layers that are laid over them: file, ``--set``, words of the command line.
        series: whether series were given from Python, in place of a SPEC.
    """
    given: dict[str, Any] = {}
    for each in above:
        given = over(given, tidy(each, []))
    space, data = given.get("space") or {}, given.get("data") or {}
    name = space.get("name") if isinstance(space, Mapping) else None
    spec = str(data.get("spec", "")) if isinstance(data, Mapping) else ""
    if name is not None and not (isinstance(name, str) and is_recurrent_space(name)):
        return {}
    task = "forecasting" if series else task_of(spec, data if isinstance(data, Mapping) else {})
    if name is None and task == "image":
        return {}
    name = name or DEFAULT_SPACE
    own = tidy(recipe, [])
    layer: dict[str, Any] = {
        "space": {"name": name, "none": own.get("space", {}).get("none", True)},
        "weights": {"rate": 0.1, "rate_end": 0.001, "clip": 1.0},
        "choices": {"rate": 3e-3},
    }
    layer["train"] = dict(TRAINING)
    if own.get("layout", {}).get("name") == "engines-at":
        layer["layout"] = {"name": "engines-at", "last": ENGINES}
    if own.get("growth"):
        layer["growth"] = {"name": own["growth"]["name"], "start": RECURRENT_START}
    if own.get("relaxation", {}).get("skip"):  # the states of a recurrent cell go on beside every operation as it is
        layer["relaxation"] = {"name": own["relaxation"]["name"], "skip": 0.0}
    if own.get("relaxation", {}).get("inputs"):
        layer["relaxation"] = {"name": own["relaxation"]["name"], "inputs": 1}
    rule = own.get("derivation", {}).get("name", "top-edges")
    if "k" in (options_of("derivation", rule) or {}):
        layer["derivation"] = {"name": rule, "k": 1}
    if task == "forecasting":
        layer["choices"]["clip"] = CHOICE_CLIP
    if task == "language":
        layer = over(
            layer, {key: value for key, value in text_layer(spec).items() if key != "epochs" or key not in own}
        )
    return layer
