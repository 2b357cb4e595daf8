"""From a text to a found, trained, measured, asked and exported language model; killed and resumed on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.api.conftest import TEXT
from tests.api.test_resume import log_of

import archgrad
from archgrad.api.search import SearchResult
from archgrad.api.train import TrainResult, train
from archgrad.errors import InputError
from archgrad.network.language import LanguageNetwork
from archgrad.network.saved import load_network
from archgrad.runs import checkpoint


@pytest.fixture(scope="module")
def trained(text_result: SearchResult, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Return a language model with its run."""
    return train(text_result, run=tmp_path_factory.mktemp("trained") / "run", device="cpu")


def test_a_search_says_how_perplexed_the_supernet_is(text_result: SearchResult) -> None:
    assert set(text_result.validation) == {"loss", "perplexity", "bits"}
    assert text_result.space == "darts-rnn" and set(text_result.architecture.cells) == {"recurrent"}
    assert text_result.config.weights.rate == 5 and text_result.config.supernet.slowness == 1e-3
    assert set(text_result.state.hidden) == {"weights", "choices"}
    assert text_result.state.hidden["weights"].shape == (4, 4)


def test_a_search_resumed_in_the_middle_of_a_text_ends_the_same(
    text_result: SearchResult, corpus: Path, tmp_path: Path
) -> None:
    def interrupt(kind: str, state: Any, record: Any) -> None:
        if kind == "step" and state.step == 4:
            assert state.positions["weights"] % state.parts.data.steps("weights")
            os.kill(os.getpid(), signal.SIGINT)

    words: dict[str, Any] = {"data": f"text:{corpus}", "epochs": 2, "settings": TEXT, "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        archgrad.search("darts", run=tmp_path / "run", progress=interrupt, **words)
    archgrad.search(run=tmp_path / "run", resume=True)
    assert text_result.run is not None
    for name in ("architecture.json", "architecture.svg"):
        assert (tmp_path / "run" / name).read_bytes() == (text_result.run / name).read_bytes()
    assert log_of(tmp_path / "run") == log_of(text_result.run)


def test_a_training_resumed_in_the_middle_of_a_text_leaves_the_same_bytes(
    text_searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # averaging from the second epoch on, whatever the losses say: when it begins is tested where it is decided
    monkeypatch.setattr("archgrad.network.averaging.stopped_falling", lambda losses, *_: len(losses) == 1)
    settings = {"train.average_after": 1, "train.dropout_output": 0.2, "train.dropout_input": 0.2}
    words: dict[str, Any] = {"device": "cpu", "epochs": 4, "settings": settings}
    train(text_searched, run=tmp_path / "whole", **words)

    def interrupt(kind: str, state: Any, record: Any) -> None:
        if kind == "step" and state.averaging.network is not None and state.position % 5 == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(text_searched, run=tmp_path / "broken", progress=interrupt, **words)
    train(tmp_path / "broken", resume=True, device="cpu")
    found = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert found[0] == found[1]
    events = [event for event in log_of(tmp_path / "whole") if event["event"] == "epoch"]
    assert {event["averaged"] for event in events} == {False, True}
    assert all("perplexity" in event["validation"] for event in events)  # the validation text is none of "train"


def test_the_trained_network_comes_back_whole(trained: TrainResult, corpus: Path) -> None:
    assert trained.run is not None and (trained.hidden, trained.epochs) == (4, 2)
    network, about = load_network(trained.run / "model.safetensors")
    assert isinstance(network, LanguageNetwork)
    assert (about["task"], about["input_shape"], about["tokenizer"]) == ("language", [5], {"kind": "words"})
    assert about["vocabulary"][:3] == ["<unk>", "<eos>", "the"] and network.blueprint["tokens"] == 10
    assert archgrad.evaluate(trained.run, device="cpu") == pytest.approx(trained.metrics)
    with pytest.raises(InputError, match="evaluated on text:PATH, pydoc or hf:NAME; macro holds no text"):
        archgrad.evaluate(trained, data="macro")
    other = corpus.with_name("other.txt")
    other.write_text("zebras saw the cat\n" * 30)
    assert archgrad.evaluate(trained, data=f"text:{other}", device="cpu")["perplexity"] > 1


def test_an_inherited_network_starts_as_the_derived_supernet(text_searched: Path, corpus: Path) -> None:
    first: list[dict[str, torch.Tensor]] = []

    def keep(kind: str, state: Any, record: dict[str, Any]) -> None:
        first.append({name: value.clone() for name, value in state.network.state_dict().items()})

    words: dict[str, Any] = {"inherit": True, "device": "cpu", "epochs": 1}
    result = train(text_searched, settings={"train.rate": 1e-12}, progress=keep, **words)
    tree: Any = checkpoint.load_newest(text_searched / "checkpoints").tree
    supernet: dict[str, torch.Tensor] = tree["state"]["supernet"]
    torch.testing.assert_close(first[0]["ends.embedding"], supernet["ends.embedding"])
    torch.testing.assert_close(first[0]["core.cell.enter"], supernet["core.cell.enter"])
    assert result.network.blueprint["recurrence"]["network"]["node_norm"] is True
    other = corpus.with_name("others.txt")
    other.write_text("quite another text with other words\n" * 30)
    with pytest.raises(InputError, match="trained on another vocabulary than that of"):
        train(text_searched, data=f"text:{other}", run=text_searched.with_name("other"), **words)


def test_a_text_goes_on(trained: TrainResult, tmp_path: Path) -> None:
    (answer,) = archgrad.predict(trained, "the cat", length=12, seed=1, device="cpu")
    assert answer["prompt"] == "the cat" and answer["unknown"] == []
    assert len(answer["text"].replace("\n", " <eos> ").split()) == 12 and "<unk>" not in answer["text"]
    assert archgrad.predict(trained, "the cat", length=12, seed=1)[0] == answer
    assert archgrad.predict(trained, "the cat", length=12, seed=2)[0] != answer
    greedy = [archgrad.predict(trained, "a zebra", length=5, temperature=0, seed=seed)[0] for seed in (1, 2)]
    assert greedy[0] == greedy[1] and greedy[0]["unknown"] == ["zebra"]
    (tmp_path / "prompt.txt").write_text("the cat")
    assert archgrad.predict(trained, tmp_path / "prompt.txt", length=12, seed=1)[0] == answer
    for words, message in (({"length": 0}, "length is 0"), ({"temperature": -1.0}, "temperature -1.0")):
        with pytest.raises(InputError, match=message):
            archgrad.predict(trained, "the", **words)
    with pytest.raises(InputError, match="continues a text"):
        archgrad.predict(trained, 3)


def test_every_exported_form_reads_on(trained: TrainResult, tmp_path: Path) -> None:
    assert trained.run is not None
    token, state = torch.tensor([3, 4, 5]), torch.randn(3, 4)
    with torch.no_grad():
        scores, after = trained.network(token[None], state)
    archgrad.export(trained.run, to="python", out=tmp_path)
    spec = importlib.util.spec_from_file_location("network", tmp_path / "network.py")
    assert spec is not None and spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    torch.testing.assert_close(alone.load()(token[None], state)[0], scores)
    assert alone.VOCABULARY[2] == "the" and json.dumps(alone.BLUEPRINT)
    archgrad.export(trained.run, to="torch", out=tmp_path)
    found = torch.export.load(tmp_path / "network.pt2").module()(token, state)
    torch.testing.assert_close(found, (scores[0], after))


def test_onnx_holds_one_step(trained: TrainResult, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    assert trained.run is not None
    archgrad.export(trained.run, to="onnx", out=tmp_path)
    session = runtime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    token, state = torch.tensor([3, 4, 5]), torch.randn(3, 4)
    found = session.run(["scores", "next_state"], {"token": token.numpy(), "state": state.numpy()})
    with torch.no_grad():
        scores, after = trained.network(token[None], state)
    torch.testing.assert_close(torch.from_numpy(found[0]), scores[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(found[1]), after, rtol=0, atol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["vocabulary"])[2] == "the"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"source": "DARTS_V2"}, "These cells are for images, and corpus.txt holds text|These cells are for images"),
        ({"settings": {"train.auxiliary": 0.4}}, r"train\.auxiliary is 0\.4, which belongs to networks for images"),
        ({"settings": {"train.label_smoothing": 0.1}}, "label_smoothing"),
        ({"settings": {"data.flip": True}}, r"data\.flip is for images; corpus.txt holds text"),
    ],
)
def test_what_cannot_be_trained_is_said(words: dict[str, Any], message: str, corpus: Path) -> None:
    source = words.pop("source", "DARTS_RNN_V2") if "source" in words else "DARTS_RNN_V2"
    with pytest.raises(InputError, match=message):
        train(source, data=f"text:{corpus}", epochs=1, **words)


def test_published_cells_train_as_they_are(corpus: Path) -> None:
    settings = {"train.hidden": 4, "data.window": 5, "train.batch": 4}
    result = train("DARTS_RNN_V1", data=f"text:{corpus}", epochs=1, settings=settings, device="cpu")
    assert result.metrics["perplexity"] < 20
    assert result.parameters == 2 * 4 * 8 + 8 * 4 * 8 + 10 * 4 + 10


def test_words_for_language_models_mean_nothing_to_others(search_result: SearchResult) -> None:
    with pytest.raises(InputError, match="temperature is for language models|has no trained network"):
        archgrad.predict(search_result.run or "", "x", temperature=1.0)
