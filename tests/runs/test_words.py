from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
import pytest
from pydantic import Field

from archgrad.runs.words import checked, expected, no_such, plain, shown

Count = Annotated[int, Field(ge=1)]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (Count, "a whole number of at least 1"),
        (Count | None, "a whole number of at least 1, or null"),
        (Annotated[float, Field(gt=0, lt=1)], "a number of more than 0 and less than 1"),
        (Literal["fast", "reference"], "one of 'fast', 'reference'"),
        (Literal["collapse"] | None, "'collapse' or null"),
        (bool, "true or false"),
        (tuple[str, ...] | None, "a list (each text) or null"),
        (Sequence[Count], "a list (each a whole number of at least 1)"),
        (list, "a list"),
        (dict[str, int], "a group of settings"),
        (Path, "Path"),
        (Annotated[str, Field(pattern="a|b", description="a or b")], "a or b"),
    ],
)
def test_types_are_said_in_words(annotation: Any, words: str) -> None:
    assert expected(annotation) == words


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (1, float, 1.0),
        ([1, 2], tuple[int, ...], (1, 2)),
        (None, int | None, None),
        (numpy.int64(3), Count, 3),
        (Path("a"), str, "a"),
        ("anything", Any, "anything"),
        (print, Callable[..., Any], print),
    ],
)
def test_a_value_that_fits_is_made_what_the_type_says(value: Any, annotation: Any, result: Any) -> None:
    given = checked(value, annotation)
    assert (type(given), given) == (type(result), result)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [("1", int), (True, int), (1.5, int), (4.0, int), (True, float), ("0.1", float), (1, bool), ("yes", bool)]
    + [(1, str), ("a", tuple[str, ...]), (0, Count), (math.inf, Annotated[float, Field(le=1)]), (None, str), ({}, int)],
)
def test_nothing_is_guessed(value: Any, annotation: Any) -> None:
    with pytest.raises(ValueError, match=r"^must be .*; got .*\.$") as caught:
        checked(value, annotation)
    assert "pydantic" not in str(caught.value)


def test_a_near_word_is_suggested() -> None:
    with pytest.raises(ValueError, match=r"got 'fats'\. Did you mean 'fast'\?"):
        checked("fats", Literal["fast", "reference"])


def test_an_unknown_key_is_named_with_its_path_and_the_nearest() -> None:
    assert no_such("supernet", "cels", ["cells", "channels"]) == (
        "supernet.cels: there is no such setting. Did you mean supernet.cells? Allowed: cells, channels."
    )
    assert no_such("", "xyz", [], "option") == "xyz: there is no such option. Allowed: none."


class _Kind(enum.Enum):
    ONE = "one"


def test_values_become_plain_data() -> None:
    given = {"a": (1, numpy.float32(0.5), [Path("x/y")]), 2: _Kind.ONE, "b": None, "c": numpy.bool_(True)}
    assert plain(given) == {"a": [1, 0.5, ["x/y"]], "2": "one", "b": None, "c": True}
    assert type(plain(numpy.float64(0.1))) is float


@pytest.mark.parametrize(
    ("value", "words"),
    [(b"x", "is a bytes"), ({1}, "is a set"), (math.nan, "is not a number"), ("\udc80", "no text"), (print, "builtin")],
)
def test_what_settings_cannot_hold_is_said(value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        plain({"a": [value]})


def test_long_values_are_shortened() -> None:
    assert len(shown("x" * 1000)) == 60
    assert [shown(value) for value in (None, True, {}, {"a": 1}, 3)] == [
        *("null", "true", "an empty group", "a group of settings", "3")
    ]
