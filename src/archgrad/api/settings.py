"""From words and keyword arguments to one checked configuration: recipe, file, settings, in this order."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archgrad import registry
from archgrad.errors import InputError
from archgrad.recipes.nasbench201 import nasbench201_layer
from archgrad.recipes.recipe import Recipe
from archgrad.recipes.recurrent import recurrent_layer
from archgrad.runs.config import SearchConfig, resolve
from archgrad.runs.layers import Layer, over, read_layer
from archgrad.runs.settings import IN_MEMORY
from archgrad.tasks.data import spec_of
from archgrad.tasks.series_table import is_series

__all__ = ["DEFAULT_RECIPE", "dotted", "load_plugin", "search_config", "search_layers"]

DEFAULT_RECIPE = "entrannas"


def dotted(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Turn ``{"supernet.cells": 4}`` into ``{"supernet": {"cells": 4}}``; nested dicts may be given as well.

    Raises:
        InputError: one path is given both as a value and as a group.
    """
    layer: dict[str, Any] = {}
    for path, value in (settings or {}).items():
        *groups, last = str(path).split(".")
        place = layer
        for group in groups:
            inner = place.setdefault(group, {})
            place[group] = inner = {"name": inner} if isinstance(inner, str) else inner
            if not isinstance(inner, dict):
                raise InputError(f"settings: '{path}' is a part of a setting that is given as {inner!r} already.")
            place = inner
        if isinstance(place.get(last), dict) and isinstance(value, str):
            place[last].setdefault("name", value)
        else:
            place[last] = value
    return layer


def load_plugin(module: str | None) -> None:
    """Import a user's module, which registers its parts with :func:`archgrad.registry.register`.

    Args:
        module: a module's name, found from the current folder too.

    Raises:
        InputError: it cannot be imported.
    """
    if not module:
        return
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        importlib.import_module(module.removesuffix(".py"))
    except ImportError as error:
        raise InputError(f"The plugin '{module}' cannot be imported: {error}.") from error


def search_layers(
    recipe: str | Recipe | None,
    *,
    data: object = None,
    space: str | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    device: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
) -> list[Layer]:
    """Return the layers of settings that were given, lowest first: recipe, file, settings, single arguments.

    Without a recipe it is the file's, so that a run's config.yaml gives the same run again, names and all.
    """
    file = read_layer(config) if config else {}
    recipe = recipe or file.get("recipe") or DEFAULT_RECIPE
    found = recipe if isinstance(recipe, Recipe) else registry.get("recipe", recipe)
    named: dict[str, Any] = {"recipe": found.name, "citation": found.citation, "command": list(command)}
    single: dict[str, Any] = {"seed": seed, "epochs": epochs, "device": device, "space": space}
    single = {key: value for key, value in single.items() if value is not None}
    if data is not None:
        single["data"] = {"spec": spec_of(data)}
    given = [file, dotted(settings), single]
    series = single.get("data") == {"spec": IN_MEMORY} and is_series(data)
    fitted = over(dict(found.settings), recurrent_layer(found.settings, given, series))
    return [over(fitted, nasbench201_layer(found.settings, given)), *given, named]


def search_config(recipe: str | Recipe | None, **given: Any) -> SearchConfig:
    """Return the checked configuration of a search; arguments as in :func:`search_layers`.

    Raises:
        InputError: unknown recipe, or anything wrong in the settings; all problems are listed.
    """
    return resolve(*search_layers(recipe, **given))
