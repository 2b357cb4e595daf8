"""Parts named in the settings: their options are their constructor's arguments, checked before the part is built."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archgrad import registry
from archgrad.errors import InputError, several, unknown
from archgrad.runs.words import checked, no_such, plain

__all__ = ["OPTIONAL", "PART_KINDS", "Option", "build_part", "complete_part", "options_of", "part_problems"]

PART_KINDS = {
    "space": "space",
    "layout": "layout",
    "relaxation": "relaxation",
    "schedule": "schedule",
    "hypergradient": "hypergradient",
    "derivation": "derivation",
    "growth": "growth",
    "perturbation": "perturbation",
    "penalties": "penalty",
}
"""Setting -> kind in :data:`archgrad.registry.PARTS`; ``penalties`` holds several parts by names of the user's."""

OPTIONAL = ("growth", "perturbation")
"""The settings of parts that a search can do without."""

_NO_DEFAULT = dataclasses.MISSING


@dataclass(frozen=True)
class Option:
    """One option of a part.

    Attributes:
        annotation: its type.
        default: its default, or ``dataclasses.MISSING`` when it must be given.
        keyword_only: whether it can be given by name alone.
    """

    annotation: Any
    default: Any = _NO_DEFAULT
    keyword_only: bool = False


def options_of(kind: str, name: str) -> dict[str, Option] | None:
    """Return a part's options by name; None when it takes any (``**options``).

    A dataclass has its fields, any other class or function its arguments; something that is not callable is used as it
    is and has none.

    Raises:
        InputError: there is no such part.
    """
    target = registry.get(kind, name)
    if not callable(target):
        return {}
    if isinstance(target, type) and dataclasses.is_dataclass(target):
        hints = _hints(target)
        return {
            field.name: Option(hints.get(field.name, Any), _default(field))
            for field in dataclasses.fields(target)
            if field.init
        }
    hints = _hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    options = {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return None
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            default = _NO_DEFAULT if parameter.default is parameter.empty else parameter.default
            options[parameter.name] = Option(
                hints.get(parameter.name, Any), default, parameter.kind is parameter.KEYWORD_ONLY
            )
    return options


def part_problems(kind: str, spec: Mapping[str, Any], where: str) -> list[str]:
    """Return everything that is wrong with a part's spec: its name, unknown or missing options, types, values.

    Args:
        kind: the part's kind in the registry.
        spec: ``{"name": ..., option: value, ...}``.
        where: the path of the setting, with which each problem starts.
    """
    name = spec.get("name")
    if name is None:
        allowed = ", ".join(registry.names(kind)) or "none yet"
        return [f"{where}.name: say which {kind} it is. Allowed: {allowed}."]
    if not isinstance(name, str) or name not in registry.names(kind):
        return [f"{where}.name: {unknown(kind, name, registry.names(kind))}"]
    options = options_of(kind, name)
    given = {key: value for key, value in spec.items() if key != "name"}
    if options is None:
        return []
    problems = []
    for key, value in given.items():
        if key not in options:
            problems.append(no_such(where, key, options, f"option of {kind} '{name}'"))
            continue
        try:
            checked(value, options[key].annotation)
        except ValueError as error:
            problems.append(f"{where}.{key} {error}")
    missing = [key for key, option in options.items() if option.default is _NO_DEFAULT and key not in given]
    problems += [f"{where}.{key}: {kind} '{name}' needs this option." for key in missing]
    if not problems:
        try:
            _construct(kind, name, given)
        except (InputError, ValueError, TypeError) as error:
            problems.append(f"{where}: {error}")
    return problems


def complete_part(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a right spec with the defaults of its options written out, so that it stays the same if they change."""
    complete = dict(spec)
    for key, option in (options_of(kind, spec["name"]) or {}).items():
        if key not in complete and option.default is not _NO_DEFAULT:
            try:
                complete[key] = plain(option.default)
            except TypeError:
                continue  # a default that only Python can give
    return complete


def build_part(kind: str, spec: Mapping[str, Any], where: str | None = None) -> Any:
    """Build the part that a spec names.

    Args:
        kind: the part's kind in the registry.
        spec: ``{"name": ..., option: value, ...}``, or a configuration's part as a dict.
        where: the path of the setting for messages; the kind if not given.

    Returns:
        What the registered class or function makes of the options.

    Raises:
        InputError: no such part, or its options are wrong; all problems are listed.
    """
    problems = part_problems(kind, spec, where or kind)
    if problems:
        raise several(f"The {kind} cannot be built", problems)
    return _construct(kind, spec["name"], {key: value for key, value in spec.items() if key != "name"})


def _construct(kind: str, name: str, given: Mapping[str, Any]) -> Any:
    target = registry.get(kind, name)
    if not callable(target):
        return target
    options = options_of(kind, name)
    if options is None:
        return target(**given)
    return target(**{key: checked(value, options[key].annotation) for key, value in given.items()})


def _hints(target: Any) -> dict[str, Any]:
    """Return resolved annotations; none where a name is only imported for type checking."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError):
        return {}


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not _NO_DEFAULT else field.default
