"""``search --dry-run``: sizes, and the memory that a search will need, before it starts."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch

from archgrad.api.recorder import peak_memory_mb
from archgrad.api.settings import load_plugin, search_config
from archgrad.engine.problem import SearchProblem
from archgrad.recipes.assemble import Assembled
from archgrad.recipes.recipe import Recipe
from archgrad.supernet.memory import saved_bytes

__all__ = ["forecast"]

PROBE = 4
"""Examples of the smaller of the two probes; bytes saved for backward grow linearly from there."""


def forecast(recipe: str | Recipe | None = None, *, plugin: str | None = None, **given: Any) -> dict[str, Any]:
    """Return what a search would be: sizes of its parts and the memory of one weight step; nothing is written.

    The bytes that autograd saves are counted at two small batches and continued to the whole one; weights, gradients
    and momentum add three times the weights' size. What is left out: scratch memory of single kernels.

    Args:
        recipe: as in :func:`archgrad.api.search.search`.
        plugin: a module to import first.
        **given: data, space, seed, epochs, device, config and settings, as in ``search``.

    Returns:
        Plain data: steps per epoch, weights, choices, examples per part, megabytes (MiB) for each use and in all.

    Raises:
        InputError: the words or the input are wrong.
    """
    load_plugin(plugin)
    # of a search that grows, its full size is what must fit
    config = search_config(recipe, **given).model_copy(update={"growth": None})
    data = given.get("data")
    ready = Assembled(config, own_data=None if data is None or isinstance(data, str) else data)
    state = ready.state
    batch = next(islice(ready.data.stream("weights"), 1))
    size = max(1, len(batch[0]) // config.weights.accumulate)
    weights = sum(weight.numel() * weight.element_size() for weight in state.weights.values())
    saved = _saved(ready, batch, size)
    activations = saved / 2**20
    resident = peak_memory_mb()
    permanent = 3 * weights / 2**20
    return {
        "recipe": config.recipe,
        "space": state.parts.space.name,
        "data": config.data.spec,
        "examples": {part: ready.data.size(part) for part in ("weights", "choices", "validation", "train", "test")},
        "input_shape": list(ready.data.input_shape),
        "classes": len(ready.data.classes),
        "epochs": config.epochs,
        "steps_per_epoch": state.steps_per_epoch,
        "cells": config.supernet.cells,
        "channels": config.supernet.channels,
        "batch": config.data.batch,
        "supernet_parameters": sum(weight.numel() for weight in state.weights.values()),
        "choice_parameters": sum(choice.numel() for choice in state.choices.parameters()),
        "memory_mb": {
            "weights_gradients_momentum": permanent,
            "saved_for_backward": activations,
            "resident_before": resident,
            "total": resident + permanent + activations,
        },
    }


def _saved(ready: Assembled, batch: tuple[torch.Tensor, torch.Tensor], size: int) -> float:
    """Return the bytes that one weight step's forward saves at ``size`` examples, from two small probes."""
    state = ready.state
    problem = SearchProblem(state, {"train": batch})
    known = [*state.supernet.parameters(), *state.supernet.buffers(), *state.choices.parameters()]
    supernet = state.supernet.train()
    counts: list[int] = []
    kept = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    sizes = [min(PROBE, size), min(2 * PROBE, size)]
    for count in sizes:
        x = batch[0][:count]
        counts.append(saved_bytes(lambda x=x: supernet(x, problem.view().mixings), [*known, x]))  # type: ignore[misc]
    for name, buffer in supernet.named_buffers():
        buffer.copy_(kept[name])
    if sizes[0] == sizes[1]:
        return float(counts[1])
    return counts[1] + (counts[1] - counts[0]) / (sizes[1] - sizes[0]) * (size - sizes[1])
