"""The vocabulary is the training text's alone, and gives texts back."""

from __future__ import annotations

import sys

import pytest

from archgrad.errors import InputError
from archgrad.tasks.text_vocabulary import EOS, UNK, load_vocabulary, make_vocabulary

TRAIN = "the cat sat\nthe cat <unk> the mat\n\n"


def test_words_are_those_of_the_training_text_most_frequent_first() -> None:
    found = make_vocabulary(TRAIN, "words", 100)
    assert found.tokens == [UNK, EOS, "the", "cat", "mat", "sat"]
    assert found.encode("the dog sat\n\nmat") == [2, 0, 5, 1, 4, 1]  # dog is unknown, an empty line says nothing
    assert found.decode([2, 3, 1, 2, 5]) == "the cat\nthe sat"
    assert make_vocabulary(TRAIN, "words", 4).tokens == [UNK, EOS, "the", "cat"]
    assert load_vocabulary(found.tokens, found.to_dict()).encode(TRAIN) == found.encode(TRAIN)


def test_byte_pairs_hold_any_line() -> None:
    pytest.importorskip("tokenizers")
    found, again = (make_vocabulary(TRAIN * 5, "bpe", 270) for _ in range(2))
    assert found.tokens == again.tokens and found.to_dict() == again.to_dict()
    assert 258 < len(found.tokens) <= 270
    numbers = found.encode("the żółw sat\non it")
    assert found.decode(numbers) == "the żółw sat\non it\n" and numbers.count(found.eos) == 2
    assert load_vocabulary(found.tokens, found.to_dict()).encode("a żółw") == found.encode("a żółw")


def test_byte_pairs_need_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r'pip install "archgrad\[hf\]". Or take data.tokens=words'):
        make_vocabulary(TRAIN, "bpe", 300)
