"""Errors say what was given, what is allowed and the nearest match, and carry the exit code."""

from __future__ import annotations

import pytest

from archgrad.errors import ArchgradError, InputError, NotFiniteError, RunError, at_least_one, nearest, several, unknown


def test_exit_codes_are_those_of_the_contract() -> None:
    assert (InputError.exit_code, RunError.exit_code, NotFiniteError.exit_code) == (2, 1, 1)
    assert issubclass(InputError, ValueError)  # so that a library's user may catch what Python calls it
    assert all(issubclass(kind, ArchgradError) for kind in (InputError, RunError, NotFiniteError))


@pytest.mark.parametrize(
    ("given", "found"), [("darst", "darts"), ("DARTS", "darts"), ("randm", "random"), ("xyz", None), ("", None)]
)
def test_the_nearest_word_is_found_whatever_its_case(given: str, found: str | None) -> None:
    assert nearest(given, ["random", "darts"]) == found
    assert nearest("darts_v2", ["DARTS_V2"]) == "DARTS_V2"


def test_an_unknown_name_is_told_in_one_sentence() -> None:
    error = unknown("recipe", "darst", ["random", "darts"], "config.yaml")
    assert str(error) == "Unknown recipe 'darst' in config.yaml. Did you mean 'darts'? Allowed: darts, random."
    assert str(unknown("penalty", 3, [])) == "Unknown penalty '3'. Allowed: none."


def test_problems_are_listed_together() -> None:
    assert str(several("The file is wrong", ["one"])) == "The file is wrong: one"
    assert str(several("The file is wrong", ["one", "two"])) == "The file is wrong, 2 problems:\n  - one\n  - two"


def test_the_first_value_below_1_is_named_with_its_place() -> None:
    at_least_one("supernet", cells=1, partial=None)
    with pytest.raises(InputError, match=r"^supernet\.channels is 0; it must be at least 1\.$"):
        at_least_one("supernet", cells=3, channels=0)
    with pytest.raises(InputError, match=r"^hidden is -2; it must be at least 1\.$"):
        at_least_one(hidden=-2)
