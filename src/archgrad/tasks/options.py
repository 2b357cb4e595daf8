"""What may be set about image data (``--set data.KEY=VALUE``): every option and its form; all mistakes at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archgrad.errors import several, unknown

__all__ = ["OPTIONS", "SHARED", "Option", "sort_options"]


@dataclass(frozen=True)
class Option:
    """One key under ``data``.

    Attributes:
        meaning: what it does, one line.
        form: what is allowed, in words.
        right: whether a value is allowed.
    """

    meaning: str
    form: str
    right: Callable[[Any], bool]


def _whole(meaning: str, smallest: int) -> Option:
    def right(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= smallest

    return Option(meaning, f"a whole number of at least {smallest}", right)


OPTIONS: dict[str, Option] = {
    "batch": _whole("examples of one step", 1),
    "crop_padding": _whole("black pixels added on every side before a random crop", 0),
    "flip": Option("mirror half of the training images", "true or false", lambda value: isinstance(value, bool)),
    "cutout": _whole("side in pixels of the square hidden in every training image", 0),
    "limit": _whole("use only so many training images, drawn at random from every class its share", 1),
    "limit_test": _whole("use only so many test images, drawn likewise", 1),
    "workers": _whole("processes that read images when they are streamed; 0 reads in the main process", 0),
    "size": _whole("resize images to squares of this side in pixels; of oblong ones the centre is cut out", 1),
    "mode": Option("convert every image", "RGB (colour) or L (grey)", lambda value: value in ("RGB", "L")),
}

SHARED = ("batch", "crop_padding", "flip", "cutout", "limit", "limit_test", "workers")
"""Options that all image data have; a loader's own are the keyword arguments of its function."""


def sort_options(
    options: Mapping[str, Any], loader: Callable[..., object] | None, where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check options and divide them into (shared, the loader's own); a value None counts as not given.

    Args:
        options: key without the prefix ``data.`` -> value.
        loader: function whose keyword-only parameters are its own options; None if there is none.
        where: the data's name, for the message.

    Raises:
        InputError: unknown keys, with the nearest match, and values of the wrong form, all at once.
    """
    own = _keywords(loader) if loader else []
    problems = []
    shared: dict[str, Any] = {}
    specific: dict[str, Any] = {}
    for key, value in options.items():
        if key not in SHARED and key not in own:
            problems.append(str(unknown("option", key, [*SHARED, *own], f"data ({where})")))
        elif value is not None:
            if key in OPTIONS and not OPTIONS[key].right(value):
                problems.append(f"data.{key} must be {OPTIONS[key].form}, got {value!r}.")
            (shared if key in SHARED else specific)[key] = value
    if problems:
        raise several(f"The data options of {where} are wrong", problems)
    return shared, specific


def _keywords(loader: Callable[..., object]) -> list[str]:
    parameters = inspect.signature(loader).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
