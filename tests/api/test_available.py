"""Lists of what there is."""

from __future__ import annotations

import copy

import pytest

import archgrad
from archgrad import registry
from archgrad.api.available import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_everything_has_one_line(kind: str) -> None:
    for name, words in archgrad.available(kind).items():
        assert words and "\n" not in words, name


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("recipes", {"darts", "darts-second-order", "random"}),
        ("spaces", {"darts"}),
        ("operations", {"none", "skip_connect", "sep_conv_3x3", "dil_conv_5x5"}),
        ("data", {"digits", "cifar10", "imagefolder"}),
        ("published", {"DARTS_V1", "DARTS_V2", "SNAS_MILD", "DARTS_RNN_V2"}),
        ("derivations", {"top-edges"}),
    ],
)
def test_what_there_is_is_listed(kind: str, names: set[str]) -> None:
    assert names <= archgrad.available(kind).keys()


def test_the_users_own_parts_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PARTS", copy.deepcopy(registry.PARTS))
    recipe = archgrad.Recipe(name="mine", summary="my own way", citation="")
    archgrad.register("recipe", "mine", recipe)
    assert archgrad.available("recipes")["mine"] == "my own way"


def test_an_unknown_kind_shows_the_nearest() -> None:
    with pytest.raises(archgrad.InputError, match="Did you mean 'recipes'"):
        archgrad.available("recipe")
