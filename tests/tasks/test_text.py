"""Text from the disk and from Python's own help: found, divided, and refused with the reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad.errors import InputError
from archgrad.tasks.text import split_text
from archgrad.tasks.text_files import load_text
from archgrad.tasks.text_pydoc import divided, load_pydoc


def test_a_folder_in_the_form_of_the_penn_treebank(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt.gz").write_bytes(gzip.compress(f" a {part} <unk> \n b N \n".encode()))
    raw = load_text(str(tmp_path))
    raw.check()
    assert (raw.train, raw.validation, raw.test) == (
        " a train <unk> \n b N \n",
        " a valid <unk> \n b N \n",
        " a test <unk> \n b N \n",
    )
    assert raw.read().tokens == ["<unk>", "<eos>", "N", "a", "b", "train"]


def test_what_a_folder_lacks_is_cut_off_the_training_text(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("".join(f"line {number:03}\n" for number in range(100)))
    (tmp_path / "test").write_text("the end\n")
    raw = load_text(str(tmp_path))
    assert (raw.train.count("\n"), raw.validation.count("\n"), raw.test) == (90, 10, "the end\n")
    assert raw.validation.startswith("line 090")


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab \n", max_size=200))
def test_pieces_of_one_text_are_the_text(text: str) -> None:
    pieces = split_text(text, (0.8, 0.1, 0.1))
    assert "".join(pieces) == text and len(pieces) == 3


def test_lines_stay_whole_where_they_are_short() -> None:
    text = "".join(f"{number:04} words\n" for number in range(1000))
    train, validation, test = split_text(text, (0.8, 0.1, 0.1))
    assert (train.count("\n"), validation.count("\n"), test.count("\n")) == (800, 100, 100)
    assert all(piece.endswith("\n") for piece in (train, validation, test))


def test_help_text_repeats_no_paragraph_from_part_to_part() -> None:
    raw = load_pydoc(None)
    raw.check()
    lines = [set(part.splitlines()) for part in (raw.train, raw.validation, raw.test)]
    assert not lines[0] & lines[1] and not lines[0] & lines[2] and not lines[1] & lines[2]
    assert len(raw.train.split()) > 50_000 and len(raw.test.split()) > 5_000
    assert raw.fingerprint == load_pydoc(None).fingerprint
    assert divided({"b": "Two, two.\n\n---", "a": "Two, two.\n\nNew  line"})[0] == "two , two .\nnew line\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "letters"}, "Unknown kind of token 'letters'"),
        ({"window": 0}, r"data\.window is 0; it must be at least 1"),
        ({"shares": (0.5, 0.5)}, "three shares of the text"),
    ],
)
def test_wrong_options_are_said(tmp_path: Path, options: dict[str, object], message: str) -> None:
    (tmp_path / "a.txt").write_text("one two three four five\n" * 20)
    with pytest.raises(InputError, match=message):
        load_text(str(tmp_path / "a.txt"), **options).check()  # type: ignore[arg-type]


def test_what_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"line 2 has the byte 0xe9"):
        load_text(str(tmp_path / "latin.txt"))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"words " * 100)[:20])
    with pytest.raises(InputError, match="no whole gzip file"):
        load_text(str(tmp_path / "cut.gz"))
    with pytest.raises(InputError, match="no file is called train"):
        load_text(str(tmp_path))
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "my-train.txt").write_text("a\n")
    with pytest.raises(InputError, match="2 files could be the train part: my-train.txt, train.txt"):
        load_text(str(tmp_path))
    with pytest.raises(InputError, match="takes no path"):
        load_pydoc("x")
    with pytest.raises(InputError, match="text needs the path"):
        load_text(None)
