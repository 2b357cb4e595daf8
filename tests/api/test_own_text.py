"""Documents from Python take every verb's way, with the numbers that the same text in a file gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import TEXT

import archgrad
from archgrad.api.settings import search_config
from archgrad.errors import InputError
from archgrad.runs.config import from_yaml


def test_documents_go_the_way_of_their_file(corpus: Path, tmp_path: Path) -> None:
    documents, spec, run = [corpus.read_text()], f"text:{corpus}", tmp_path / "run"
    words: dict[str, Any] = {"epochs": 1, "settings": TEXT, "device": "cpu"}
    found = archgrad.search("random", data=documents, run=run, **words)
    assert (found.data, found.space) == ("in-memory-text", "darts-rnn")
    from_file = archgrad.search("random", data=spec, **words)
    assert from_file.validation == found.validation
    # the directory says where the text came from, and asks for it
    assert from_yaml((run / "config.yaml").read_text()).data.spec == "in-memory-text"
    with pytest.raises(InputError, match="text given from Python; give the same text again to go on with it: data=doc"):
        archgrad.search(run=run, resume=True)
    with pytest.raises(InputError, match="not the same any more"):
        archgrad.search(data=["the cat sat"] * 60, run=run, resume=True)
    archgrad.search(data=documents, run=run, resume=True)
    with pytest.raises(InputError, match="text given from Python; give text to train on: data=documents"):
        archgrad.train(run, device="cpu")

    trained = archgrad.train(run, data=documents, device="cpu")
    assert trained.data == "in-memory-text" and trained.architecture == found.architecture
    for data in (documents, spec):
        assert archgrad.evaluate(run, data=data, device="cpu") == pytest.approx(trained.metrics)
    with pytest.raises(InputError, match="give text to evaluate: data=documents"):
        archgrad.evaluate(run)
    with pytest.raises(InputError, match=r"text:PATH, pydoc, hf:NAME or documents; got a tuple"):
        archgrad.evaluate(run, data=([1.0], [0]))
    # a test text alone is all that is measured; the vocabulary is the network's
    alone = archgrad.evaluate(run, data={"test": "zebras saw the cat"}, device="cpu")
    assert alone == archgrad.evaluate(run, data={"train": "a b\n" * 20, "test": "zebras saw the cat"}, device="cpu")
    (answer,) = archgrad.predict(run, "the cat", length=5, seed=1, device="cpu")
    assert answer["unknown"] == [] and len(answer["text"].replace("\n", " <eos> ").split()) == 5
    with pytest.raises(InputError, match="looks like text itself"):
        archgrad.search("random", data=documents[0], epochs=1)


def test_token_numbers_with_their_vocabulary_end_in_a_network() -> None:
    names = ["the", "cat", "sat", "on", "<eos>"]
    data = {"train": [0, 1, 2, 3, 0, 1, 4] * 12, "test": [0, 1, 2, 4] * 5, "vocabulary": names}
    settings = {key: value for key, value in TEXT.items() if key.startswith(("data.window", "train"))}
    trained = archgrad.train("DARTS_RNN_V1", data=data, settings=settings, device="cpu")
    assert trained.metadata["vocabulary"] == [*names, "<unk>"] and trained.metrics["perplexity"] < 7
    assert archgrad.evaluate(trained, data=data, device="cpu") == pytest.approx(trained.metrics)
    (answer,) = archgrad.predict(trained, "the cat", length=3, temperature=0, device="cpu")
    assert set(answer["text"].replace("\n", " <eos> ").split()) <= set(names)


def test_what_is_searched_follows_from_the_text() -> None:
    config = search_config("darts", data=["a document", "another one"], settings={"data.tokens": "bpe"})
    assert config.space.name == "darts-rnn" and config.train == search_config("darts", data="text:x").train
    with pytest.raises(InputError, match=r"data\.tokns: there is no such setting\. Did you mean data\.tokens"):
        search_config("darts", data=["a document"], settings={"data.tokns": "bpe"})
