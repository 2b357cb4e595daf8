"""What is learnt from a table of the library ``datasets``, and of which of its columns: told by their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from archgrad.errors import InputError, unknown

__all__ = ["image_columns", "kinds_of", "learnt", "series_columns", "text_column"]

IMAGE, CLASSES, TEXT, WHOLE, NUMBERS, DATES = "images", "classes", "text", "whole numbers", "numbers", "dates"
"""What columns hold; any other has the library's own words for its type."""

CHOICES = {"image": ("image", "label"), "language": ("text",), "forecasting": ("columns", "targets", "date")}
"""Task -> the options under ``data`` that name its columns."""

IsDate = Callable[[str], bool]
"""Whether the texts in a column are dates; asked for where it matters only, because data have to be read for it."""


def kinds_of(features: Mapping[str, Any]) -> dict[str, str]:
    """Return what each column holds: column -> one of the words above, or the library's own.

    Args:
        features: as ``Dataset.features`` has them; told apart by the names of their types, without the library.
    """
    return {name: _kind(feature) for name, feature in features.items()}


def _kind(feature: Any) -> str:
    kind = type(feature).__name__
    if kind in ("Image", "ClassLabel"):
        return IMAGE if kind == "Image" else CLASSES
    dtype = str(feature.dtype) if kind == "Value" else ""
    if dtype.startswith(("int", "uint")):
        return WHOLE
    if dtype.startswith(("float", "decimal", "bool")):
        return NUMBERS
    if dtype.startswith(("date", "timestamp")):
        return DATES
    return TEXT if dtype in ("string", "large_string", "string_view") else str(feature)


def learnt(kinds: Mapping[str, str], wanted: Mapping[str, Any], is_date: IsDate, where: str) -> str:
    """Return what is learnt: "image", "language" or "forecasting".

    Images come first; then text, in a column of that name or the only one that holds other text than dates; then
    columns of numbers. Options that name columns decide before that.

    Args:
        kinds: column -> what it holds.
        wanted: options under ``data``.
        is_date: tells dates from text.
        where: the SPEC, for messages.

    Raises:
        InputError: the columns leave it open, or the options contradict each other.
    """
    named = [task for task, keys in CHOICES.items() if any(wanted.get(key) is not None for key in keys)]
    if len(named) > 1:
        first, second = (next(k for k in CHOICES[task] if wanted.get(k) is not None) for task in named[:2])
        raise InputError(f"data.{first} and data.{second} ask for two tasks, {' and '.join(named[:2])}; set one.")
    if named:
        return named[0]
    if IMAGE in kinds.values():
        return "image"
    texts, numbers = _of(kinds, TEXT), _of(kinds, WHOLE, NUMBERS)
    if "text" in texts:
        return "language"
    if numbers:
        texts = [name for name in texts if not is_date(name)]
    if len(texts) == 1:
        return "language"
    if numbers and not texts:
        return "forecasting"
    raise InputError(
        f"{where} leaves open what is to be learnt; its columns are {_described(kinds)}. Name the one that holds text "
        "(--set data.text=COLUMN), or images and their classes (data.image, data.label), or series (data.columns)."
    )


def image_columns(kinds: Mapping[str, str], wanted: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Return the columns of the images and of their classes.

    Classes are a column that names them, else one of whole numbers, else one of text; one called ``label`` comes first.

    Raises:
        InputError: there is no such column, or there are several.
    """
    image = _one("image", wanted.get("image"), _of(kinds, IMAGE), (IMAGE,), kinds, where)
    pools = [_of(kinds, kind) for kind in (CLASSES, WHOLE, TEXT)]
    candidates = next((pool for pool in pools if pool), [])
    return image, _one("label", wanted.get("label"), candidates, (CLASSES, WHOLE, TEXT), kinds, where)


def text_column(kinds: Mapping[str, str], wanted: Mapping[str, Any], is_date: IsDate, where: str) -> str:
    """Return the column of the documents: one called ``text``, or the only one that holds other text than dates.

    Raises:
        InputError: there is no such column, or there are several.
    """
    candidates = _of(kinds, TEXT)
    if len(candidates) > 1 and "text" not in candidates:
        candidates = [name for name in candidates if not is_date(name)]
    return _one("text", wanted.get("text"), candidates, (TEXT,), kinds, where)


def series_columns(
    kinds: Mapping[str, str], wanted: Mapping[str, Any], is_date: IsDate, where: str
) -> tuple[str | None, list[str]]:
    """Return the column of the dates, if there is one, and those of the series.

    Raises:
        InputError: a column does not exist, or holds no numbers; the message says how to choose.
    """
    date = wanted.get("date")
    if date is not None and date not in kinds:
        raise unknown("column", date, kinds, "data.date")
    if date is None:
        chosen = wanted.get("columns") or ()
        others = [name for name in kinds if name not in chosen]
        date = next((name for name in others if kinds[name] == DATES or (kinds[name] == TEXT and is_date(name))), None)
    columns = [wanted["columns"]] if isinstance(wanted.get("columns"), str) else list(wanted.get("columns") or ())
    for name in columns:
        if name not in kinds:
            raise unknown("column", name, kinds, "data.columns")
    columns = columns or [name for name in kinds if name != date]
    strange = [name for name in columns if kinds[name] not in (WHOLE, NUMBERS)]
    if strange or not columns:
        numbers = _of(kinds, WHOLE, NUMBERS)
        hint = f" Name the series: --set data.columns=[{','.join(numbers)}]" if numbers else ""
        what = f"column '{strange[0]}' holds {kinds[strange[0]]}, no numbers" if strange else "there are no numbers"
        raise InputError(f"{where} cannot be read as series: {what}. Its columns are {_described(kinds)}.{hint}")
    return date, columns


def _one(
    option: str,
    wanted: object,
    candidates: Sequence[str],
    right: Sequence[str],
    kinds: Mapping[str, str],
    where: str,
) -> str:
    """Return the column that is wanted, the only candidate, or the one whose name is the option's."""
    if wanted is not None:
        if wanted not in kinds:
            raise unknown("column", wanted, kinds, f"data.{option}")
        if kinds[str(wanted)] not in right:
            raise InputError(
                f"data.{option}={wanted} names a column of {kinds[str(wanted)]}; it takes {' or '.join(right)}. "
                f"The columns of {where} are {_described(kinds)}."
            )
        return str(wanted)
    if len(candidates) == 1:
        return candidates[0]
    if option in candidates:
        return option
    found = f"{len(candidates)} columns that could be it" if candidates else "no column of " + " or ".join(right)
    hint = f" Choose one: --set data.{option}={candidates[0]}" if candidates else ""
    raise InputError(f"{where} has {found} (data.{option}); its columns are {_described(kinds)}.{hint}")


def _of(kinds: Mapping[str, str], *wanted: str) -> list[str]:
    return [name for name, kind in kinds.items() if kind in wanted]


def _described(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
