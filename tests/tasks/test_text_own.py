"""Text from Python: every form says the same as the file it could have been, and what is no text is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad.errors import InputError
from archgrad.runs.settings import IN_MEMORY, IN_MEMORY_TEXT
from archgrad.tasks.data import open_data, parse_spec, spec_of
from archgrad.tasks.text_files import load_text
from archgrad.tasks.text_own import is_text, load_own_text, split_documents
from archgrad.tasks.text_streams import TextData

LINES = [f"line {number} of a text" for number in range(250)]


class Split:
    """A split as the package ``datasets`` has them: columns by name, read as something that is no list."""

    column_names = ("label", "text")

    def __init__(self, documents: list[str]) -> None:
        self._documents = documents

    def __getitem__(self, column: str) -> Any:
        assert column == "text"
        return iter(self._documents)


def opened(data: object, **options: Any) -> TextData:
    found = open_data(data, seed=0, batch=2, choice_share=0.0, device="cpu", options={"window": 3, **options})
    assert isinstance(found, TextData)
    return found


def test_documents_are_the_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(LINES) + "\n")
    file = load_text(str(tmp_path / "a.txt"))
    frame = pd.DataFrame({"text": LINES, "label": 0})
    for data in (LINES, tuple(LINES), np.array(LINES), frame, frame["text"], Split(LINES), {"text": LINES}):
        assert is_text(data) and spec_of(data) == IN_MEMORY_TEXT
        raw = load_own_text(data)
        assert raw.fingerprint == file.fingerprint and raw.train == file.train
        assert load_own_text({"train": data}).fingerprint == file.fingerprint
    assert load_own_text(["\n".join(LINES)]).fingerprint == file.fingerprint  # one document is divided at its lines


def test_parts_are_taken_as_they_are_and_what_is_missing_is_cut_off() -> None:
    given = {"train": Split(LINES), "validation": "a b\r\nc", "test": ["d", "", "e\n"]}
    raw = load_own_text(given)
    assert (raw.train.count("\n"), raw.validation, raw.test) == (250, "a b\nc\n", "d\ne\n")
    raw = load_own_text({"train": LINES, "test": "d"}, shares=(0.5, 0.2, 0.3))
    assert raw.train + raw.validation == "\n".join(LINES) + "\n" and raw.test == "d\n"
    assert raw.validation.count("\n") == 48  # the last fifth of the characters; later lines are longer


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="ab \n", min_size=1, max_size=30), min_size=1, max_size=20))
def test_pieces_of_documents_are_the_documents(documents: list[str]) -> None:
    shares = (0.6, 0.2, 0.2)
    pieces = split_documents(documents, shares)
    sizes = [sum(map(len, piece)) for piece in pieces]
    whole = [document for piece in pieces for document in piece] == documents
    if whole:
        assert all(size >= share * sum(sizes) / 2 for size, share in zip(sizes, shares, strict=True))
    else:
        ended = "".join(document if document.endswith("\n") else document + "\n" for document in documents)
        assert "".join(piece[0] for piece in pieces) == ended


def test_numbers_are_read_as_they_are() -> None:
    names = ["the", "cat", "<eos>", "sat"]
    train = [0, 1, 2, 2, 3, 0, 1] * 6 + [2]
    data = {"train": torch.tensor(train), "validation": np.array([3, 3, 1, 0]), "test": [1, 0, 2, 3, 2]}
    for vocabulary in (names, {name: number for number, name in enumerate(names)}):
        assert is_text({**data, "vocabulary": vocabulary})
        found = opened({**data, "vocabulary": vocabulary})
        assert found.vocabulary.tokens == [*names, "<unk>"]
        assert found.tokens("train").tolist() == train and found.tokens("test").tolist() == [1, 0, 2, 3, 2]
        assert found.tokens("validation").tolist() == [3, 3, 1, 0, 2]  # a text ends as its lines do
    # words may be settled by a vocabulary, too
    settled = opened({"train": ["the cat sat", "a cat"] * 9, "vocabulary": names})
    assert settled.tokens("train")[:7].tolist() == [0, 1, 3, 2, 4, 1, 2]


def test_other_objects_hold_no_text() -> None:
    rows = [["2024", "1.5"], ["2025", "2.5"], ["2026", "3.5"]]
    frame = pd.DataFrame({"text": [1.0, 2.0]})
    for data in ((np.zeros((4, 1, 8, 8)), [0, 1, 0, 1]), rows, np.zeros(9), frame, pd.Series(["1.5", "2"]), [], None):
        assert not is_text(data) and spec_of(data) == IN_MEMORY
    assert not is_text("text:x") and spec_of("text:x") == "text:x"
    assert not is_text({"train": np.zeros(9, dtype=int), "test": np.zeros(9, dtype=int)})


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (["a b", None], {}, "Document 1 of the train part is None; every document is a string"),
        (
            {"train": "a b", "valid": "c"},
            {},
            "Unknown part 'valid' in text given as a dictionary. Did you mean 'val",
        ),
        ({"test": "a", "vocabulary": ["a"]}, {}, 'needs "train"'),
        ({"train": "a b", "test": [1, 0]}, {}, "The test part holds numbers. Name the tokens"),
        ({"train": [0, 2], "vocabulary": ["a", "b"]}, {}, "go from 0 to 2; the vocabulary names 2, which"),
        ({"train": [[0, 1]], "vocabulary": ["a", "b"]}, {}, "one row of whole numbers"),
        ({"train": torch.zeros(4), "vocabulary": ["a", "b"]}, {}, "float32 of shape"),
        (
            {"train": [0], "vocabulary": ["a", "b", "a", " "]},
            {},
            r"'a' is there twice\n.*' ' is empty or holds",
        ),
        ({"train": [0], "vocabulary": {"a": 0, "b": 2}}, {}, "must number its 2 tokens from 0 to 1"),
        ({"train": [0], "vocabulary": 5}, {}, "give a list of"),
        ({"train": [0], "vocabulary": ["a"]}, {"vocabulary": 9}, "leave data.vocabulary and data.tokens out"),
        ({"train": "tests"}, {}, "is the path tests, and a string is the text itself there"),
        (["a b c"] * 9, {"shares": (0.5, 0.5)}, "three shares of the text"),
        (["a b c"] * 9, {"windw": 2}, "Did you mean 'window'"),
        ({"train": "a b", "test": ""}, {}, "the test part holds no words"),
    ],
)
def test_what_is_wrong_is_said(data: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(data, **options)


def test_running_text_is_no_spec() -> None:
    with pytest.raises(InputError, match=r"'Call me Ishmael. Some years ago--never m\.\.\.' looks like text itself"):
        parse_spec("Call me Ishmael. Some years ago--never mind how long precisely")
    with pytest.raises(InputError, match=r"data=\[text\]"):
        parse_spec("one\ntwo")
