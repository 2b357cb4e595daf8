"""The configuration: layers of settings (defaults, recipe, file, ``--set``) become one checked ``SearchConfig``.

Every problem of every layer is reported at once. ``config.yaml`` is the result and alone reproduces the run.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from archgrad import registry
from archgrad.errors import InputError, several
from archgrad.runs.layers import Layer, group_of, merge, over, parse_set, read_layer, read_mapping, tidy
from archgrad.runs.parts import OPTIONAL, PART_KINDS, build_part, complete_part, options_of, part_problems
from archgrad.runs.settings import FORMAT, IN_MEMORY, IN_MEMORY_TEXT, DataSettings, PartSettings, SearchConfig
from archgrad.runs.text import dump_yaml
from archgrad.runs.words import checked, no_such, shown

__all__ = [
    "FORMAT",
    "PartSettings",
    "SearchConfig",
    "build_part",
    "defaults",
    "from_yaml",
    "merge",
    "parse_set",
    "read_layer",
    "resolve",
    "to_yaml",
]


def defaults() -> dict[str, Any]:
    """Return every setting's default, DARTS' own: the lowest layer."""
    return SearchConfig().model_dump()


def resolve(base: Layer, *layers: Layer) -> SearchConfig:
    """Lay settings over the defaults and check everything.

    Args:
        base: the lowest layer over the defaults, usually a recipe's.
        *layers: further ones, later on top: a settings file, ``--set``, the command line's own options.

    Returns:
        The configuration, with the defaults of all parts' options written out.

    Raises:
        InputError: anything is wrong in any layer; all problems are listed, each with its full path.
    """
    problems: list[str] = []
    merged = defaults()
    for layer in (base, *layers):
        given = tidy(layer, problems)
        _check_group(SearchConfig, given, "", problems)
        merged = over(merged, given)
    if isinstance(merged["data"], dict):
        _check_loader(merged["data"], problems)
    if isinstance(merged["penalties"], dict):
        merged["penalties"] = {name: spec for name, spec in merged["penalties"].items() if spec is not None}
    for path, kind, spec in _parts(merged):
        if kind == "penalty" and (name := path.removeprefix("penalties.")) in registry.names(kind):
            spec.setdefault("name", name)
        problems += part_problems(kind, spec, path)
    if problems:
        raise several("The settings are not right", list(dict.fromkeys(problems)))
    for _, kind, spec in _parts(merged):
        spec.update(complete_part(kind, spec))
    try:
        # As JSON, where strict means that nothing is guessed: "4" is no number and 1 is not true.
        return SearchConfig.model_validate_json(json.dumps(merged), strict=True)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
        raise several("The settings are not right", found) from error


def to_yaml(config: SearchConfig) -> str:
    """Write a configuration as YAML; :func:`from_yaml` gives an equal one back."""
    return dump_yaml(config.model_dump())


def from_yaml(text: str, where: str = "config.yaml") -> SearchConfig:
    """Read a configuration that :func:`to_yaml` wrote.

    Args:
        text: the YAML.
        where: the file it came from, for messages.

    Raises:
        InputError: it is no YAML (with line and column), of another format, or not right; all problems are listed.
    """
    layer = read_mapping(text, where)
    try:
        return resolve(layer)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _check_group(model: type[BaseModel], group: dict[str, Any], path: str, problems: list[str]) -> None:
    """Note what is wrong with a group's keys and single values; parts are checked once all layers are known."""
    hints = typing.get_type_hints(model, include_extras=True)
    for key, value in group.items():
        full = f"{path}.{key}" if path else key
        if key not in model.model_fields:
            if model is not DataSettings:  # the loader knows the rest
                problems.append(_elsewhere(full, key) or no_such(path, key, model.model_fields))
        elif not path and key in PART_KINDS:
            problems += _shape_problems(key, value)
        elif inner := group_of(model, key):
            if isinstance(value, dict):
                _check_group(inner, value, full, problems)
            else:
                example = f"{full}.{next(iter(inner.model_fields))}"
                problems.append(f"{full} is a group of settings, such as {example}; got {shown(value)}.")
        else:
            try:
                checked(value, hints[key])
            except ValueError as error:
                problems.append(f"{full} {error}")


def _elsewhere(path: str, key: str) -> str | None:
    """Say in which groups a setting is, for one that was named without its group."""
    groups = [
        name for name in SearchConfig.model_fields if key in getattr(group_of(SearchConfig, name), "model_fields", ())
    ]
    if not groups:
        return None
    return f"{path}: there is no such setting here. Did you mean {' or '.join(f'{name}.{key}' for name in groups)}?"


def _shape_problems(key: str, value: Any) -> list[str]:
    """Say why a value cannot be a part at all, whatever its name."""
    if key != "penalties":
        if isinstance(value, dict) or (key in OPTIONAL and value is None):
            return []
        return [f"{key} must be the name of a {PART_KINDS[key]}, or its name and options; got {shown(value)}."]
    if not isinstance(value, dict):
        return [f"penalties is a group of penalties by names of your own; got {shown(value)}."]
    return [
        f"penalties.{name} must be the name of a penalty, or its name and options; got {shown(spec)}."
        for name, spec in value.items()
        if spec is not None and not isinstance(spec, dict)
    ]


def _check_loader(data: Mapping[str, Any], problems: list[str]) -> None:
    """Note the further settings of the data that its loader does not take, or not so: its keyword-only arguments."""
    further = {key: value for key, value in data.items() if key not in DataSettings.model_fields}
    if not further:
        return
    name = str(data.get("spec")).partition(":")[0]
    # series and text from Python have the options of a file; images refuse them when they are opened
    name = {IN_MEMORY: "csv", IN_MEMORY_TEXT: "text"}.get(name, name)
    options = options_of("data", name) if name in registry.names("data") else {}
    if options is None:
        return
    allowed = {key for key, option in options.items() if option.keyword_only}
    for key, value in further.items():
        if key not in allowed:
            problems.append(no_such("data", key, allowed | DataSettings.model_fields.keys()))
            continue
        try:
            checked(value, options[key].annotation)
        except ValueError as error:
            problems.append(f"data.{key} {error}")


def _parts(merged: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, kind and spec of every part that has the shape of one."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for key, kind in PART_KINDS.items():
        value = merged.get(key)
        if key == "penalties" and isinstance(value, dict):
            found += [(f"{key}.{name}", kind, spec) for name, spec in value.items() if isinstance(spec, dict)]
        elif isinstance(value, dict):
            found.append((key, kind, value))
    return found
