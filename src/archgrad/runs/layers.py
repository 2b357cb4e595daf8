"""Layers of settings: short forms written out, laid over each other, read from ``--set`` words and from files."""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from archgrad.errors import InputError, several
from archgrad.runs.parts import OPTIONAL, PART_KINDS
from archgrad.runs.settings import PartSettings, SearchConfig
from archgrad.runs.text import load_yaml
from archgrad.runs.words import fits, plain, shown

__all__ = ["Layer", "group_of", "merge", "over", "parse_set", "read_layer", "read_mapping", "tidy"]

Layer = Mapping[str, Any]
"""Settings as a nested dict, any part of them."""


def merge(*layers: Layer) -> dict[str, Any]:
    """Lay settings over each other, later ones on top.

    Groups merge key by key. A part with another name replaces the one below with all its options; without a name, or
    with the same, it changes single options. A plain word for a part is its name; the word ``none`` is null where a
    setting may be null. A penalty set to null is one removed.

    Raises:
        InputError: a layer holds something that is no plain data.
    """
    result: dict[str, Any] = {}
    problems: list[str] = []
    for layer in layers:
        result = over(result, tidy(layer, problems))
    if problems:
        raise several("The settings are not right", problems)
    return result


def parse_set(words: Iterable[str]) -> dict[str, Any]:
    """Turn ``--set`` words into a layer.

    Args:
        words: ``path=value`` each, such as ``relaxation=concrete``, ``supernet.cells=4``, ``weights.rate=1e-2``. Values
            are read as YAML.

    Raises:
        InputError: a word has no ``=`` or no path, its value is no YAML, or two words exclude each other; all are
            listed.
    """
    layer: dict[str, Any] = {}
    problems: list[str] = []
    for word in words:
        path, equals, text = word.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            problems.append(f"'{word}' is not of the form key=value, such as supernet.cells=4.")
            continue
        try:
            value = load_yaml(text, f"the value of {path}")
        except InputError as error:
            problems.append(f"{error} A text with special characters needs quotes: --set '{path}=\"...\"'.")
            continue
        for key in reversed(keys):
            value = {key: value}
        given = tidy(value, problems)
        if clash := _clash(layer, given):
            problems.append(f"'{word}' and an earlier --set exclude each other: {clash} cannot be both.")
        else:
            layer = over(layer, given)
    if problems:
        raise several("--set is not right", problems)
    return layer


def read_layer(path: Path | str) -> dict[str, Any]:
    """Read a settings file (``--config``), whole or partial; what only describes the run that wrote it is left out.

    Raises:
        InputError: it cannot be read, is no YAML (with line and column), or holds no settings.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"The settings file {path} cannot be read: {reason}.") from error
    return {key: value for key, value in read_mapping(text, str(path)).items() if key not in ("version", "command")}


def read_mapping(text: str, where: str) -> dict[str, Any]:
    """Return the settings in a YAML text, unchecked; none in an empty one.

    Raises:
        InputError: it is no YAML (with line and column), or holds no settings.
    """
    document = load_yaml(text, where)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InputError(f"{where} holds no settings: expected lines such as 'epochs: 20', got {shown(document)}.")
    return document


def over(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tidy group over another, as :func:`merge` says."""
    result = dict(low)
    for key, value in high.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            names = value.get("name"), below.get("name")
            replaced = all(isinstance(name, str) for name in names) and names[0] != names[1]
            result[key] = copy.deepcopy(value) if replaced else over(below, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def tidy(layer: Layer, problems: list[str]) -> dict[str, Any]:
    """Return a layer as plain data with its short forms written out.

    Args:
        layer: the settings.
        problems: gets a message for each setting that is no plain data; it is left out.
    """
    result: dict[str, Any] = {}
    for key, value in layer.items():
        try:
            result[str(key)] = plain(value)
        except TypeError as error:
            problems.append(f"{key} {error}.")
        except RecursionError:
            problems.append(f"{key} contains itself.")
    for key in result.keys() & PART_KINDS.keys():
        value = result[key]
        if key != "penalties":
            result[key] = _part(value, optional=key in OPTIONAL)
        elif isinstance(value, dict):
            result[key] = {name: _part(spec, optional=True) for name, spec in value.items()}
    if isinstance(result.get("data"), str):
        result["data"] = {"spec": result["data"]}
    return _nulls(SearchConfig, result)


def group_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Return the type of a group of settings within another; None for a single setting and for parts."""
    annotation = model.model_fields[key].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not PartSettings:
        return annotation
    return None


def _part(value: Any, *, optional: bool) -> Any:
    """Write out the short form of a part, its name alone."""
    if optional and value == "none":
        return None
    return {"name": value} if isinstance(value, str) else value


def _nulls(model: type[BaseModel], group: dict[str, Any]) -> dict[str, Any]:
    """Read the word ``none`` as null where null is allowed and the word is not; YAML itself reads it as a word."""
    result = dict(group)
    hints = typing.get_type_hints(model, include_extras=True)
    for key in result.keys() & model.model_fields.keys():
        value, inner = result[key], group_of(model, key)
        if inner is not None and isinstance(value, dict):
            result[key] = _nulls(inner, value)
        elif value == "none" and not fits(value, hints[key]) and fits(None, hints[key]):
            result[key] = None
    return result


def _clash(low: Mapping[str, Any], high: Mapping[str, Any], path: str = "") -> str | None:
    """Return the path at which one layer holds a value and the other a group."""
    for key in low.keys() & high.keys():
        full, below, above = f"{path}.{key}".lstrip("."), low[key], high[key]
        if isinstance(below, dict) and isinstance(above, dict):
            if found := _clash(below, above, full):
                return found
        elif isinstance(below, dict) or isinstance(above, dict):
            return full
    return None
