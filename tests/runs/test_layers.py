from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.errors import InputError
from archgrad.runs.layers import merge, parse_set, read_layer

groups = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
).map(lambda value: {"x": value})


# a key is a group or a value in every layer, as it is in the settings: what lay below a value in between is gone
def nested(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    value: st.SearchStrategy[Any] = st.integers()
    groups_below = {name: nested(depth - 1) for name in ("a", "b")} if depth else {}
    return st.fixed_dictionaries({}, optional={"c": value, **groups_below})


layers = nested(2)


@given(layers, layers, layers)
def test_laying_over_does_not_depend_on_how_layers_are_bracketed(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    assert merge(merge(first, second), third) == merge(first, merge(second, third))


@given(groups)
def test_a_layer_over_itself_changes_nothing(layer: dict[str, Any]) -> None:
    assert merge(layer, layer) == layer
    assert merge({}, layer) == layer


def test_layers_are_not_changed_and_not_shared() -> None:
    low: dict[str, Any] = {"penalties": {"size": {"name": "resource", "levels": [1]}}}
    result = merge(low, {"penalties": {"size": {"weight": 2}}})
    result["penalties"]["size"]["levels"].append(2)
    assert low == {"penalties": {"size": {"name": "resource", "levels": [1]}}}


@pytest.mark.parametrize(
    ("low", "high", "result"),
    [
        ({"name": "softmax", "start": 1}, "concrete", {"name": "concrete"}),
        ({"name": "softmax", "start": 1}, {"name": "concrete", "end": 2}, {"name": "concrete", "end": 2}),
        ({"name": "softmax", "start": 1}, "softmax", {"name": "softmax", "start": 1}),
        ({"name": "softmax", "start": 1}, {"start": 2}, {"name": "softmax", "start": 2}),
        ({"start": 1}, "softmax", {"start": 1, "name": "softmax"}),
    ],
)
def test_another_part_replaces_the_one_below_with_its_options(low: Any, high: Any, result: Any) -> None:
    assert merge({"relaxation": low}, {"relaxation": high}) == {"relaxation": result}


def test_none_is_null_where_null_is_allowed() -> None:
    layer = {"growth": "none", "early_stop": "none", "weights": {"clip": "none"}, "penalties": {"size": "none"}}
    assert merge(layer) == {"growth": None, "early_stop": None, "weights": {"clip": None}, "penalties": {"size": None}}
    assert merge({"relaxation": "none", "recipe": "none"}) == {"relaxation": {"name": "none"}, "recipe": "none"}


def test_what_is_no_plain_data_is_an_error() -> None:
    with pytest.raises(InputError, match="weights is a set, which settings cannot hold"):
        merge({"weights": {"rate": {1, 2}}})


def test_set_words_become_a_layer() -> None:
    words = ["relaxation=concrete", "relaxation.end=0.1", "supernet.cells=4", "weights.rate=1e-2", "growth=null"]
    words += ["penalties.size.name=resource", "data=cifar10:/data/set=1", "space.operations=[none, skip_connect]"]
    assert parse_set(words) == {
        "relaxation": {"name": "concrete", "end": 0.1},
        "supernet": {"cells": 4},
        "weights": {"rate": 0.01},
        "growth": None,
        "penalties": {"size": {"name": "resource"}},
        "data": {"spec": "cifar10:/data/set=1"},
        "space": {"operations": ["none", "skip_connect"]},
    }


def test_the_last_of_two_set_words_counts_and_their_order_does_not_matter_for_a_part() -> None:
    assert parse_set(["seed=1", "seed=2"]) == {"seed": 2}
    forward = parse_set(["relaxation=concrete", "relaxation.end=0.1"])
    assert forward == parse_set(["relaxation.end=0.1", "relaxation=concrete"])


def test_all_wrong_set_words_are_listed() -> None:
    with pytest.raises(InputError) as caught:
        parse_set(["cells", "=4", "a..b=1", "seed=[1", "supernet.cells=1", "supernet.cells.x=2", "x=!!binary aGk="])
    message = str(caught.value)
    assert "--set is not right, 6 problems" in message
    for words in [
        *("'cells' is not of the form key=value", "'=4' is not", "'a..b=1' is not"),
        "the value of seed is no valid YAML at line 1, column 3",
        "'supernet.cells.x=2' and an earlier --set exclude each other: supernet.cells cannot be both",
        "x is a bytes",
    ]:
        assert words in message


def test_a_settings_file_is_read_without_what_describes_another_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("version: 0.0.1\ncommand: [search]\nrecipe: darts\nweights: {rate: 1e-2}\n")
    assert read_layer(file) == {"recipe": "darts", "weights": {"rate": 0.01}}
    file.write_text("# nothing set\n")
    assert read_layer(file) == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [", "is no valid YAML at line 1, column 5"),
        (b"- a", "holds no settings"),
        (b"\xff", "no UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_an_unreadable_settings_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_layer(file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)


def test_a_setting_that_contains_itself_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("weights: &a\n  rate: *a\n")
    with pytest.raises(InputError, match="weights contains itself"):
        merge(read_layer(file))
