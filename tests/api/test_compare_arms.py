"""Arms: the same words as ``search`` takes, names that are safe as folders, and runs known by their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.api.compare_arms import Arm, arm_config, differences, folder_name, read_arm, read_arms, refuse_others
from archgrad.api.settings import search_config
from archgrad.errors import InputError
from archgrad.runs.directory import RunDirectory

INFORMED = {"relaxation": {"name": "clipped"}, "schedule": {"name": "informed", "ratio": 10}}


@pytest.mark.parametrize(
    ("words", "arm"),
    [
        ("darts", Arm("darts", "darts", {})),
        ("clipped: darts relaxation=clipped", Arm("clipped", "darts", {"relaxation": {"name": "clipped"}})),
        (
            "darts relaxation=clipped   schedule=informed schedule.ratio=10",
            Arm("darts relaxation=clipped schedule=informed schedule.ratio=10", "darts", INFORMED),
        ),
        (
            "darts 'derivation={name: top-edges, k: 1}'",  # a colon and a space that end no name
            Arm("darts 'derivation={name: top-edges, k: 1}'", "darts", {"derivation": {"name": "top-edges", "k": 1}}),
        ),
    ],
)
def test_an_arm_in_words(words: str, arm: Arm) -> None:
    assert read_arm(words) == arm


def test_an_arm_from_python_is_the_same_arm() -> None:
    pair = ("darts", {"relaxation": "clipped", "schedule": "informed", "schedule.ratio": 10})
    assert read_arm(pair) == read_arm("darts relaxation=clipped schedule=informed schedule.ratio=10")
    assert read_arms({"both": pair, "plain": "darts"}) == [Arm("both", "darts", INFORMED), Arm("plain", "darts", {})]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dartz epochs=3"], "Did you mean 'darts'"),
        (["relaxation=clipped"], "its recipe comes first"),
        (["name: "], "names no recipe"),
        (["darts epochs"], "not of the form key=value"),
        (["darts 'epochs=3"], "no closing quotation"),
        (["darts seed=3"], "one for all arms: --seeds"),
        (["darts data=digits"], "one for all arms: --data"),
        (["darts", "darts"], "cannot be told apart"),
        (["A: darts", "a: snas"], "cannot be told apart"),
        ([("darts", 3)], "An arm is a recipe, or"),
        ([], "at least one recipe"),
    ],
)
def test_what_is_no_arm_is_refused_with_what_would_be_one(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_arms(words)


@given(st.lists(st.text(min_size=1, max_size=90), min_size=2, max_size=4, unique=True))
def test_folders_are_safe_and_as_different_as_their_names(names: list[str]) -> None:
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.isascii() and 0 < len(folder) <= 70 and folder[0] not in ".-"
        assert not set(folder) & set('/\\:*?"<>| \t\n')


def test_a_plain_name_is_the_folder() -> None:
    assert Arm("darts-second-order", "darts").folder(Path("runs"), 4) == Path("runs/darts-second-order-s4")


def test_what_an_arm_sets_counts_more_than_what_all_arms_have() -> None:
    shared: dict[str, Any] = {"epochs": 7, "space": "extended", "settings": {"supernet": {"cells": 3, "channels": 4}}}
    plain = arm_config(read_arm("darts"), **shared)
    assert (plain.epochs, plain.space.name, plain.supernet.cells, plain.supernet.channels) == (7, "extended", 3, 4)
    own = arm_config(read_arm("darts epochs=2 space=darts supernet.cells=5"), **shared)
    assert (own.epochs, own.space.name, own.supernet.cells, own.supernet.channels) == (2, "darts", 5, 4)
    assert arm_config(read_arm("random"), **shared).epochs == search_config("random").epochs
    with pytest.raises(InputError, match="The arm .x.: .*Did you mean supernet.cells"):
        arm_config(read_arm("x: darts supernet.cels=5"), **shared)


def test_a_run_is_known_by_its_settings_and_not_by_its_name(tmp_path: Path) -> None:
    stored = search_config("darts", settings={"supernet.cells": 3}, device="cpu", command=["compare"])
    RunDirectory.create(tmp_path / "darts-s0", stored)
    same = search_config("darts", settings={"supernet.cells": 3}, device="auto")
    other = search_config("darts", settings={"supernet.cells": 5, "relaxation": "clipped"})
    refuse_others([(tmp_path / "darts-s0", same), (tmp_path / "darts-s1", other)])
    with pytest.raises(InputError, match="supernet.cells is 3 there, not 5") as refused:
        refuse_others([(tmp_path / "darts-s0", other)])
    assert "relaxation.name is 'softmax' there, not 'clipped'" in str(refused.value)
    assert "another --run" in str(refused.value)
    assert list(differences(stored, same)) == []
