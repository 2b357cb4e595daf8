"""The form of a configuration's supernet: what a search begins with, and what a checkpoint describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from archgrad import registry
from archgrad.engine.growing.growth import Growth
from archgrad.engine.growing.morphisms import Seen
from archgrad.runs.config import SearchConfig
from archgrad.runs.parts import build_part
from archgrad.space.cells import Space
from archgrad.space.form import Form, resized

__all__ = ["check_steps", "first_form", "form_at", "full_space"]


def full_space(config: SearchConfig) -> Space:
    """Return the space as the settings describe it, its norms settled."""
    space: Space = build_part("space", config.space.spec())()
    wanted = config.supernet.node_norm
    if wanted is None:
        wanted = build_part("relaxation", config.relaxation.spec()).needs_node_norm
    return replace(space, network={**space.network, "node_norm": wanted})


def first_form(config: SearchConfig, growth: Growth | None = None) -> Form:
    """Return what a search begins with: the settings' own sizes, or a small cell where it grows.

    Args:
        config: the whole configuration.
        growth: as the configuration has it, where it is built already.

    Raises:
        InputError: there is nothing to grow.
    """
    space, sizes = full_space(config), config.supernet
    if config.growth is not None:
        growth = growth or build_part("growth", config.growth.spec())
        growth.count(space)
        space = resized(space, growth.start)
    if space.skeleton.form == "time":
        return Form(space, width=sizes.hidden)
    return Form(space, layers=space.skeleton.layers(sizes.cells, sizes.channels))


def form_at(config: SearchConfig, checkpoint: Mapping[str, Any]) -> Form:
    """Return the form of a search at a checkpoint.

    Args:
        config: the whole configuration.
        checkpoint: its light part.
    """
    plain = checkpoint.get("form")
    return first_form(config) if plain is None else Form.from_dict(plain, full_space(config))


def check_steps(growth: Growth, form: Form, space: Space) -> None:
    """Try every growth step once on the first form, so that one which cannot work is refused before the search.

    Args:
        growth: names the steps.
        form: the first one.
        space: at its full size.

    Raises:
        InputError: a step does not know its word, or cannot grow such a supernet.
    """
    strengths = {kind: [[1.0] * len(cell.operations)] * len(cell.edges) for kind, cell in form.space.cells.items()}
    seen = Seen(strengths, torch.Generator().manual_seed(0))
    for done in range(min(len(growth.steps), max(1, growth.count(space)))):
        name, word = growth.step(done)
        registry.get("morphism", name)(form, seen, word)
