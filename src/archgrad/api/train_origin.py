"""What is trained, and how: the architecture, and the settings that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archgrad.api.search import SearchResult
from archgrad.api.settings import dotted
from archgrad.api.show import find_architecture
from archgrad.architecture import Architecture
from archgrad.errors import InputError, several
from archgrad.network.recurrent_build import is_recurrent
from archgrad.recipes import nasbench201
from archgrad.recipes.recurrent import TRAINING, is_recurrent_space
from archgrad.recipes.text import text_training
from archgrad.runs.config import SearchConfig, resolve
from archgrad.runs.directory import RunDirectory
from archgrad.runs.layers import Layer
from archgrad.runs.settings import IN_MEMORY, IN_MEMORY_TEXT
from archgrad.space.nasbench201 import NAME as NASBENCH201
from archgrad.tasks.data import spec_of
from archgrad.tasks.spec_task import task_of

__all__ = ["Origin", "find_origin", "refuse_changes", "train_config"]

ELSEWHERE = {"data.batch": "train.batch", "data.cutout": "train.cutout"}
"""Settings of the search's data that training has of its own."""

KEYS = {"train", "data"}
"""Groups of settings that a training has."""


@dataclass(frozen=True)
class Origin:
    """Where an architecture comes from.

    Attributes:
        architecture: the cells to train.
        config: of its search; the defaults where there was none.
        run: the directory of its search, or of an earlier training.
        searched: the search itself, where it is still in memory.
    """

    architecture: Architecture
    config: SearchConfig
    run: RunDirectory | None = None
    searched: SearchResult | None = None


def find_origin(given: object) -> Origin:
    """Return what is meant by the first argument of ``train``.

    Args:
        given: a run directory, an architecture file, the name of a published cell, an architecture, or a search result.

    Raises:
        InputError: it is none of these, or a run without an architecture.
    """
    if isinstance(given, SearchResult):
        run = RunDirectory.open(given.run) if given.run else None
        return Origin(given.architecture, given.config, run, given)
    if not isinstance(given, (str, Path, Architecture)):
        raise InputError(
            f"A {type(given).__name__} cannot be trained. Give a run directory, an architecture file, the name of a "
            "published cell, an Architecture or what search returned."
        )
    _, architecture, run = find_architecture(given)
    return Origin(architecture, run.read_config() if run else _defaults(architecture), run)


def _defaults(architecture: Architecture) -> SearchConfig:
    """Return the settings of an architecture that comes without a search: on digits, a recurrent cell on macro.

    Cells of NAS-Bench-201 train as the benchmark's did.
    """
    if architecture.space == NASBENCH201:
        return resolve({"space": architecture.space, "train": dict(nasbench201.TRAINING)})
    if not is_recurrent(architecture):
        return resolve({})
    return resolve({"space": architecture.space, "data": {"spec": "macro"}, "train": dict(TRAINING)})


def train_config(
    base: SearchConfig,
    *,
    data: object = None,
    settings: Mapping[str, Any] | None = None,
    inherit: bool = False,
    **single: Any,
) -> SearchConfig:
    """Lay what was given over the settings of a search.

    Args:
        base: of the search, or of the training that is resumed.
        data: a SPEC, or objects of the user's own.
        settings: dotted paths below ``train`` and ``data``.
        inherit: whether the network takes over the supernet's size.
        **single: ``epochs``, ``cells``, ``channels``, ``seed`` and ``device`` where they were given.

    Raises:
        InputError: anything is wrong; all problems are listed.
    """
    bottom = base.model_dump()
    layers: list[Layer] = [_allowed(settings)]
    recurrent = is_recurrent_space(base.space.name)
    if data is not None:
        spec, options = spec_of(data), base.data.options()
        same_kind = _kind(spec, base) == _kind(base.data.spec, base)
        given_options = {**(options if same_kind else {}), **(layers[0].get("data") or {})}
        was_text, text = recurrent and _is_text(base.data.spec, options), recurrent and _is_text(spec, given_options)
        if not same_kind or text != was_text:
            bottom["data"] = {"batch": base.data.batch}  # the other options belong to the other kind of data
        bottom["data"]["spec"] = spec
        if text != was_text:
            bottom["train"] = {**(text_training(spec) if text else TRAINING), "hidden": base.train.hidden}
    given = [key for key in ("cells", "channels") if single.get(key) is not None]
    if recurrent and given:
        raise InputError(
            f"A recurrent cell is one cell over time and has no {given[0]}; its size is train.hidden, the units of its "
            "nodes: --set train.hidden=64."
        )
    names = ("hidden",) if recurrent else ("cells", "channels")
    size = {name: getattr(base.supernet, name) for name in names}
    if inherit:
        layers.insert(0, {"train": size})
    train = {key: single.pop(key) for key in ("epochs", "cells", "channels") if single.get(key) is not None}
    layers.append({"train": train, **{key: value for key, value in single.items() if value is not None}})
    config = resolve(bottom, *layers)
    if inherit:
        for key, value in size.items():
            if getattr(config.train, key) != value:
                found = getattr(config.train, key)
                there = f"{value} hidden units" if recurrent else "{cells} cells of {channels} channels".format(**size)
                raise InputError(
                    f"A network that inherits has the supernet's size, {there}, not {key}={found}. "
                    f"Leave {key} out, or train from scratch."
                )
    return config


def refuse_changes(stored: SearchConfig, wanted: SearchConfig, run: Path) -> None:
    """Refuse to resume a training with other settings than it began with.

    Raises:
        InputError: something differs; everything that does is listed.
    """
    before, after = (_flat(config) for config in (stored, wanted))
    changed = [
        f"{key} is {before.get(key)!r} there, not {after.get(key)!r}"
        for key in [*before, *(key for key in after if key not in before)]
        if before.get(key) != after.get(key)
    ]
    if changed:
        hint = "A resumed training goes on as it began: leave these words out, or name another --run."
        raise several(f"The training in {run} was started differently. {hint}", changed)


def _allowed(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings as a layer.

    Raises:
        InputError: some are none of training's; all are listed.
    """
    layer = dotted(settings)
    problems = [f"{key} is not a setting of the training; set train.* or data.*" for key in layer.keys() - KEYS]
    data = layer.get("data")
    for path, instead in ELSEWHERE.items():
        if isinstance(data, Mapping) and path.removeprefix("data.") in data:
            problems.append(f"{path} is the search's; the training has {instead}")
    if problems:
        raise several("The settings are not right", sorted(problems))
    return layer


def _kind(spec: str, base: SearchConfig) -> str:
    """Return what kind of data is meant; series from Python are read as a CSV file is, and text as a file of text."""
    name = spec.partition(":")[0]
    if name == IN_MEMORY_TEXT:
        return "text"
    return "csv" if name == IN_MEMORY and is_recurrent_space(base.space.name) else name


def _is_text(spec: str, options: Mapping[str, Any]) -> bool:
    return task_of(spec, options) == "language"


def _flat(config: SearchConfig) -> dict[str, Any]:
    """Return what decides a training, by dotted path."""
    plain = config.model_dump(include={"data", "train", "seed", "precision"})
    flat = {"seed": plain["seed"], "precision": plain["precision"]}
    for group in ("data", "train"):
        flat |= {f"{group}.{key}": value for key, value in plain[group].items()}
    return flat
