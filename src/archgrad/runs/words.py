"""Settings in plain words: what a type allows, how a value is shown, and checking one against the other."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import json
import math
import os
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from archgrad.errors import nearest

__all__ = ["checked", "expected", "fits", "no_such", "plain", "shown"]

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    None: "null",
    type(None): "null",
    list: "a list",
    tuple: "a list",
    dict: "a group of settings",
}
_BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))


def expected(annotation: Any) -> str:
    """Say in words what a type annotation allows, with the bounds of its ``Annotated`` constraints.

    Example:
        ``expected(Annotated[int, Field(ge=1)] | None)`` is ``"a whole number of at least 1, or null"``.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        first, *rest = [expected(argument) for argument in arguments]
        long = " of " in first or " or " in first
        return (", or " if long else " or ").join([first, *rest])
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(shown(argument) for argument in arguments)
    if origin in (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable):
        inner = [expected(argument) for argument in arguments if argument is not Ellipsis]
        return f"a list (each {'; '.join(dict.fromkeys(inner))})" if inner else "a list"
    if origin in (dict, collections.abc.Mapping):
        return "a group of settings"
    if annotation in _WORDS:
        return _WORDS[annotation]
    return str(getattr(annotation, "__name__", annotation))


def _bounded(annotation: Any, metadata: Iterable[Any]) -> str:
    """Add bounds to the words of a type, or take the words that a ``Field(description=...)`` gives instead."""
    bounds = []
    for item in metadata:
        if getattr(item, "description", None):
            return str(item.description)
        for constraint in (item, *getattr(item, "metadata", ())):
            bounds += [
                f"{words} {getattr(constraint, name)}"
                for name, words in _BOUNDS
                if getattr(constraint, name, None) is not None
            ]
    return expected(annotation) + (f" of {' and '.join(bounds)}" if bounds else "")


def shown(value: Any) -> str:
    """Return a value as it would be written in the settings, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "a group of settings" if value else "an empty group"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def no_such(path: str, key: str, allowed: Iterable[str], what: str = "setting") -> str:
    """Say that a key does not exist: its full path, the nearest match, what is allowed."""
    names = sorted(allowed)
    match = nearest(key, names)
    full = f"{path}.{key}" if path else key
    hint = f" Did you mean {path + '.' if path else ''}{match}?" if match else ""
    return f"{full}: there is no such {what}.{hint} Allowed: {', '.join(names) or 'none'}."


def plain(value: Any) -> Any:
    """Return a value as the plain data that a YAML file can hold: None, bool, int, float, str, list, dict.

    Scalars of numpy, paths and enumerations are turned into what they stand for.

    Raises:
        TypeError: it is something else; the message says what, after the name of the setting.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, (str, os.PathLike)):
        text = str(value) if isinstance(value, str) else os.fspath(value)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TypeError("holds bytes that are no text") from error
        return text
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isnan(value):
            raise TypeError("is not a number (NaN)")
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return plain(value.item())
    raise TypeError(f"is a {type(value).__name__}, which settings cannot hold")


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type that brings its own configuration
        return TypeAdapter(annotation)


def checked(value: Any, annotation: Any) -> Any:
    """Return a value as a type wants it, without guessing: 1 is a number, but "1" and true are not.

    Args:
        value: plain data; or an object, when it comes from Python.
        annotation: the type; ``inspect.Parameter.empty`` and ``Any`` allow everything.

    Raises:
        ValueError: the value does not fit; the message is ``must be ...; got ...``.
    """
    if annotation in (Any, inspect.Parameter.empty):
        return value
    try:
        # As JSON, lists may become tuples and whole numbers become floats, and nothing else is converted.
        text = json.dumps(plain(value))
    except TypeError:
        text = None
    try:
        adapter = _adapter(annotation)
        return adapter.validate_python(value) if text is None else adapter.validate_json(text, strict=True)
    except ValidationError as error:
        hint = ""
        if isinstance(value, str) and (match := nearest(value, _literals(annotation))):
            hint = f" Did you mean '{match}'?"
        kind = " (text)" if isinstance(value, str) and "number" in expected(annotation) else ""
        raise ValueError(f"must be {expected(annotation)}; got {shown(value)}{kind}.{hint}") from error


def fits(value: Any, annotation: Any) -> bool:
    """Return whether :func:`checked` accepts a value."""
    try:
        checked(value, annotation)
    except ValueError:
        return False
    return True


def _literals(annotation: Any) -> list[str]:
    """Return the words among which a type chooses."""
    if get_origin(annotation) is Literal:
        return [argument for argument in get_args(annotation) if isinstance(argument, str)]
    return [word for argument in get_args(annotation) for word in _literals(argument)]
