"""Options of image data: forms, nearest matches, everything wrong at once."""

from __future__ import annotations

from typing import Any

import pytest

from archgrad.errors import InputError
from archgrad.tasks.imagefolder import load_imagefolder
from archgrad.tasks.options import OPTIONS, SHARED, sort_options


def test_options_are_divided_into_shared_and_own() -> None:
    given = {"batch": 8, "flip": False, "size": 32, "mode": "L", "limit": None}
    assert sort_options(given, load_imagefolder, "x") == ({"batch": 8, "flip": False}, {"size": 32, "mode": "L"})


def test_every_shared_option_is_described() -> None:
    assert set(SHARED) <= set(OPTIONS)


@pytest.mark.parametrize(
    ("key", "value"),
    [("batch", 0), ("batch", True), ("crop_padding", -1), ("flip", 1), ("cutout", "16"), ("mode", "CMYK"), ("size", 0)]
    + [("limit", 2.5), ("workers", -1)],
)
def test_a_value_of_the_wrong_form_is_named(key: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        sort_options({key: value}, load_imagefolder, "imagefolder")
    assert f"data.{key} must be {OPTIONS[key].form}" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_all_mistakes_are_told_at_once_with_the_nearest_match() -> None:
    with pytest.raises(InputError) as caught:
        sort_options({"crop_pading": 2, "flip": 3, "size": 9}, None, "digits")
    message = str(caught.value)
    assert "3 problems" in message
    assert "Did you mean 'crop_padding'?" in message
    assert "data.flip" in message
    assert "'size'" in message
