from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archgrad.errors import InputError
from archgrad.runs.text import dump_yaml, load_yaml

words = (
    st.text()
    | st.text("\r\n\t\x85\u2028\u2029\ufeff \\':#-a", max_size=5)
    | st.sampled_from(
        [
            "1e-3",
            "no",
            "yes",
            "on",
            "null",
            "~",
            "",
            "2020-01-01",
            "12:30",
            "0x1F",
            "007",
            "1_000",
            ".5",
            "=",
            "<<",
            "true",
        ]
    )
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)


@given(documents)
def test_what_is_written_is_read_back(document: Any) -> None:
    assert repr(load_yaml(dump_yaml(document), "x")) == repr(document)


@given(documents)
def test_another_reader_of_yaml_takes_no_text_for_something_else(document: Any) -> None:
    assert yaml.safe_load(dump_yaml(document)) == document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-3", 0.001), ("3E4", 30000.0), ("-.5", -0.5), ("1.", 1.0), ("7", 7), ("-0", 0), ("+3", 3)),
        *(("no", "no"), ("on", "on"), ("true", True), ("False", False), ("null", None), ("", None), ("none", "none")),
        *(("007", "007"), ("2020-01-01", "2020-01-01"), ("12:30", "12:30"), ("cifar10:/a b", "cifar10:/a b")),
    ],
)
def test_words_and_numbers_are_what_people_expect(text: str, value: Any) -> None:
    read = load_yaml(text, "x")
    assert (type(read), read) == (type(value), value)
    assert load_yaml("-.inf", "x") == -math.inf


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: [1, 2\nc: 3", "at line 3, column 2"),
        ("a: 1\n a: 2", "at line 2, column 3"),
        ("seed: 1\nepochs: 2\nseed: 3", "at line 3, column 1: the key 'seed' is given twice"),
        ("a: x\nb: \0", "at line 2, column 4: there is a character"),
        ("!!python/object/apply:os.system [echo]", "at line 1, column 1"),
        ("a: *gone", "at line 1, column 4"),
        ("!!int abc", "abc"),
        ("[" * 1500, "nested too deeply"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        load_yaml(text, "config.yaml")
    assert "config.yaml is no valid YAML" in str(caught.value)
    assert place in str(caught.value)
