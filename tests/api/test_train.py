"""Training a found network: what it leaves behind, from which words, and resumed as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import archgrad
from archgrad.api.search import SearchResult
from archgrad.api.train import train
from archgrad.api.train_origin import find_origin
from archgrad.api.train_parts import searched_supernet, training_data
from archgrad.architecture import Architecture
from archgrad.errors import InputError, NotFiniteError
from archgrad.network.saved import load_network
from archgrad.network.training import TrainState
from archgrad.processes import Processes
from archgrad.published import published
from archgrad.runs.log import read
from archgrad.tasks.data import open_data


def events(run: Path, *, times: bool = True) -> list[dict[str, Any]]:
    """Return the events of the training in a run's log."""
    found = [event for event in read(run / "log.jsonl") if event.get("phase") == "train"]
    return found if times else [{k: v for k, v in event.items() if k not in ("seconds", "run")} for event in found]


def small(**changes: Any) -> dict[str, Any]:
    """Return arguments that train digits within a second."""
    settings = {"data.limit": 96, "data.limit_test": 40, "train.batch": 24, **changes.pop("settings", {})}
    return {"data": "digits", "epochs": 1, "cells": 1, "channels": 4, "device": "cpu", "settings": settings, **changes}


def test_the_network_of_a_run_is_written_into_its_directory(searched: Path) -> None:
    before = (searched / "config.yaml").read_bytes(), (searched / "architecture.json").read_bytes()
    result = train(searched, device="cpu", command=["train", "here"])
    assert ((searched / "config.yaml").read_bytes(), (searched / "architecture.json").read_bytes()) == before

    network, metadata = load_network(searched / "model.safetensors")
    assert metadata["classes"] == [str(digit) for digit in range(10)]
    assert (metadata["task"], metadata["data"], metadata["input_shape"]) == ("image", "digits", [1, 8, 8])
    assert metadata["blueprint"]["auxiliary"] is False
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(images), result.network(images))
    assert not result.network.training

    start, *middle, end = events(searched)
    assert (start["event"], start["command"], start["train"]["epochs"]) == ("start", ["train", "here"], 2)
    epochs = [event for event in middle if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [1, 2]
    assert set(epochs[0]) == {*"event phase epoch loss train_accuracy validation rate seconds".split()}
    assert end["test"] == result.metrics and set(result.metrics) == {"loss", "accuracy"}
    assert result.epochs == 2 and result.seconds == pytest.approx(sum(event["seconds"] for event in epochs))
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["parameters"] == archgrad.count_parameters(
        result.architecture, cells=1, channels=4, in_channels=1, classes=10
    )
    assert plain["run"] == str(searched)
    assert not any(key.startswith("auxiliary") for key in result.network.state_dict())


def test_the_test_metrics_are_those_of_the_network_on_the_held_out_images() -> None:
    result = train("DARTS_V2", **small())
    options = {"limit": 96, "limit_test": 40}
    data = open_data("digits", seed=0, batch=24, choice_share=0.5, device="cpu", options=options)
    batches = list(data.once("test"))
    images, labels = (torch.cat(each) for each in zip(*batches, strict=True))
    with torch.no_grad():
        right = result.network(images).argmax(1) == labels
    assert len(right) == 40
    assert result.metrics["accuracy"] == pytest.approx(float(right.float().mean()))
    assert archgrad.evaluate(result) == pytest.approx(result.metrics)


def test_without_a_run_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    epochs: list[int] = []
    result = train(published("DARTS_V1"), **small(epochs=2), on_epoch=lambda state: epochs.append(state.epoch))
    assert epochs == [1, 2]
    assert result.run is None and not list(tmp_path.iterdir())


def test_a_search_that_is_still_in_memory_can_be_trained(search_result: SearchResult, tmp_path: Path) -> None:
    result = train(search_result, run=tmp_path / "own", device="cpu")
    assert (result.cells, result.channels, result.data) == (1, 4, "digits")
    assert result.run == tmp_path / "own"
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "architecture.json",
        "architecture.svg",
        "checkpoints",
        "config.yaml",
        "log.jsonl",
        "model.safetensors",
    ]
    assert Architecture.load(tmp_path / "own" / "architecture.json") == search_result.architecture
    with pytest.raises(InputError, match="continue it with --resume or name another --run"):
        train(search_result, run=tmp_path / "own", device="cpu")
    again = train(tmp_path / "own", run=tmp_path / "other", device="cpu")
    assert (tmp_path / "own" / "model.safetensors").read_bytes() == (
        tmp_path / "other" / "model.safetensors"
    ).read_bytes()
    assert again.metrics == result.metrics


def test_an_architecture_file_and_own_tensors(tmp_path: Path) -> None:
    published("SNAS_MILD").save(tmp_path / "cell.json")
    images, labels = torch.rand(60, 3, 6, 5), torch.arange(60) % 3
    result = train(tmp_path / "cell.json", run=tmp_path / "run", **small(data=(images, labels), settings={}))
    assert result.data == "in-memory"
    assert result.metadata["input_shape"] == [3, 6, 5] and result.metadata["classes"] == ["0", "1", "2"]
    with pytest.raises(InputError, match="on data given from Python; give data to train on"):
        train(tmp_path / "run", run=tmp_path / "next", device="cpu")


def stopped_after(steps: int, whole: dict[str, Any], *args: Any) -> None:
    """Train, with Ctrl-C during a step."""

    def press(kind: str, state: TrainState, record: dict[str, Any]) -> None:
        if kind == "step" and state.step == steps:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(
        KeyboardInterrupt, match=rf"Interrupted at step {steps}\. Go on with: archgrad train .*--resume"
    ):
        train(*args, progress=press, **whole)


@pytest.mark.parametrize("steps", [1, 6])
def test_resumed_leaves_the_same_bytes(searched: Path, tmp_path: Path, steps: int) -> None:
    other = Path(shutil.copytree(searched, tmp_path / "uninterrupted"))
    words: dict[str, Any] = {"device": "cpu", "epochs": 3, "settings": {"train.drop_path": 0.5}}
    train(other, **words)

    stopped_after(steps, words, searched)
    assert not (searched / "model.safetensors").exists()
    with pytest.raises(InputError, match="an unfinished training in .*go on with it with --resume"):
        train(searched, **words)
    before = signal.getsignal(signal.SIGINT)
    result = train(searched, resume=True, device="cpu")  # the settings are those that it began with
    assert signal.getsignal(signal.SIGINT) is before

    assert (searched / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert events(searched, times=False) == events(other, times=False)
    assert result.epochs == 3
    names = sorted(path.name for path in (searched / "checkpoints").glob("train-*"))
    assert names == ["train-0002", "train-0003"]
    for name in names:
        mine, theirs = (run / "checkpoints" / name / "state.safetensors" for run in (searched, other))
        assert mine.read_bytes() == theirs.read_bytes()


def test_a_damaged_checkpoint_is_passed_over(searched: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(searched, tmp_path / "whole"))
    train(other, device="cpu", epochs=3)

    def leave(state: TrainState) -> None:
        if state.epoch == 2:
            raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError, match="power"):
        train(searched, device="cpu", epochs=3, on_epoch=leave)
    heavy = searched / "checkpoints" / "train-0002" / "state.safetensors"
    heavy.write_bytes(heavy.read_bytes()[:-7])
    train(searched, device="cpu", resume=True)
    assert (searched / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    warnings = [event["message"] for event in read(searched / "log.jsonl") if event["event"] == "warning"]
    assert any("train-0002 is damaged" in message for message in warnings)


def test_a_finished_training_is_kept_and_can_be_looked_at_again(searched: Path) -> None:
    first = train(searched, device="cpu")
    bytes_before, log_before = (searched / "model.safetensors").read_bytes(), (searched / "log.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"There is a trained network in .*name another --run"):
        train(searched, device="cpu")
    with pytest.raises(InputError, match="There is a trained network in"):
        train(searched, run=searched / ".." / searched.name, device="cpu")
    again = train(searched, device="cpu", resume=True)
    assert again.metrics == first.metrics
    assert (searched / "model.safetensors").read_bytes() == bytes_before
    assert (searched / "log.jsonl").read_bytes() == log_before


def test_a_resumed_training_goes_on_as_it_began(searched: Path, search_result: SearchResult) -> None:
    stopped_after(1, {"device": "cpu", "seed": 4}, searched)
    with pytest.raises(InputError) as caught:
        train(searched, resume=True, epochs=9, seed=5, device="cpu", settings={"train.rate": 0.5, "data.flip": True})
    message = str(caught.value)
    for part in ("4 problems", "seed is 4 there, not 5", "train.epochs is 2 there, not 9", "train.rate", "data.flip"):
        assert part in message
    with pytest.raises(InputError, match="began from scratch, and goes on so"):
        train(searched, resume=True, inherit=True, device="cpu")
    published("DARTS_V1").save(searched / "architecture.json")
    with pytest.raises(InputError, match="began with another architecture"):
        train(searched, resume=True, device="cpu")
    with pytest.raises(InputError, match="name the run directory of the training"):
        train("DARTS_V1", resume=True)
    with pytest.raises(InputError, match="does not exist"):
        train("DARTS_V1", run=searched / "nowhere", resume=True)


def test_other_data_are_noticed_on_resume(tmp_path: Path) -> None:
    images, labels = torch.rand(60, 1, 8, 8), torch.arange(60) % 3
    words = small(data=(images, labels), settings={}, run=tmp_path / "run")
    stopped_after(1, words, "DARTS_V1")
    with pytest.raises(InputError, match="not the same any more"):
        train(tmp_path / "run", resume=True, data=(images + 0.1, labels), device="cpu")
    assert train(tmp_path / "run", resume=True, data=(images, labels), device="cpu").epochs == 1


def test_inherit_starts_from_the_supernet(search_result: SearchResult, searched: Path, tmp_path: Path) -> None:
    supernet = searched_supernet(find_origin(searched))
    expected = dict(search_result.state.supernet.state_dict())
    assert all(torch.equal(expected[name], tensor) for name, tensor in supernet.state_dict().items())
    still: dict[str, Any] = {"device": "cpu", "epochs": 1, "settings": {"train.rate": 1e-12, "train.decay": 0.0}}
    result = train(searched, inherit=True, **still)
    assert (result.cells, result.channels) == (1, 4)
    own, taken_over = (network.get_parameter("classifier.weight") for network in (result.network, supernet))
    torch.testing.assert_close(own, taken_over)
    assert result.network.blueprint["network"]["pool_norm"] is True
    from_memory = train(search_result, inherit=True, run=tmp_path / "own", **still)
    assert from_memory.metrics == result.metrics

    with pytest.raises(InputError, match=r"1 cells of 4 channels, not cells=3\. Leave cells out"):
        train(search_result, inherit=True, cells=3, run=tmp_path / "more", device="cpu")
    with pytest.raises(InputError, match="nothing to inherit: this architecture has no search"):
        train("DARTS_V2", **small(inherit=True))
    with pytest.raises(InputError, match="takes images of 1 channels and tells 10 classes apart; the data have 3"):
        images = torch.rand(60, 3, 8, 8), torch.arange(60) % 3
        train(search_result, inherit=True, data=images, run=tmp_path / "colour", device="cpu")


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(searched: Path) -> None:
    calls = 0

    def sudden(output: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        loss = torch.nn.functional.cross_entropy(output, target)
        return loss * float("nan") if calls > 12 else loss

    with pytest.raises(NotFiniteError, match=r"At step 7 \(epoch 2\).*last good checkpoint is kept in"):
        train(searched, loss=sudden, device="cpu", epochs=4)
    names = sorted(path.name for path in (searched / "checkpoints").glob("train-*"))
    assert names == ["train-0000", "train-0001"]
    assert not (searched / "model.safetensors").exists()
    assert train(searched, resume=True, device="cpu").epochs == 4


def test_the_hook_can_end_it(searched: Path) -> None:
    assert train(searched, device="cpu", on_epoch=lambda state: True).epochs == 1
    assert (searched / "model.safetensors").exists()


def test_the_users_own_metrics(searched: Path) -> None:
    result = train(
        searched, device="cpu", epochs=1, metrics={"wrong": lambda output, y: (output.argmax(1) != y).float().mean()}
    )
    assert set(result.metrics) == {"loss", "wrong"}


def test_cutout_is_half_of_the_side_unless_set(searched: Path) -> None:
    config = find_origin(searched).config
    data: Any = training_data(config, None, torch.device("cpu"), Processes())
    assert data.augmentation.cutout == 4 and data.augmentation.crop_padding == 1
    with pytest.raises(InputError, match=r"train\.cutout=8 hides whole images of 8 pixels; take at most 4"):
        train(searched, device="cpu", settings={"train.cutout": 8})


def test_words_that_are_wrong_are_all_named(searched: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train.epochs must be a whole number of at least 1; got 0"):
        train(searched, epochs=0)
    with pytest.raises(InputError) as caught:
        train(searched, settings={"supernet.cells": 3, "data.batch": 2, "data.cutout": 2})
    for part in ("supernet is not a setting of the training", "training has train.batch", "training has train.cutout"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match="DARTS_V2"):
        train("DARTS_V3")
    with pytest.raises(InputError, match="A dict cannot be trained"):
        train({})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no device"):
        train(searched, device="cuda:99")
    with pytest.raises(InputError, match=r"train\.label_smoothing"):
        train(searched, loss=lambda output, y: output.sum(), settings={"train.label_smoothing": 0.1}, device="cpu")
    (searched / "architecture.json").unlink()
    with pytest.raises(InputError, match="no architecture.json"):
        train(searched)
    assert not (searched / "model.safetensors").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    with pytest.raises(InputError, match="is not empty and holds no run"):
        train("DARTS_V2", run=tmp_path / "full", **small())


def test_other_data_bring_their_own_options(searched: Path) -> None:
    images = torch.rand(40, 1, 8, 8), torch.arange(40) % 2
    result = train(searched, data=images, run=searched.parent / "own", device="cpu")
    assert result.metadata["data_options"] == {}
    assert train(searched, data="digits", device="cpu").metadata["data_options"] == {"limit": 96, "limit_test": 40}
