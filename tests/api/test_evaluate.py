"""A trained network is measured on what it was trained for, and on nothing else by mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from archgrad.api.evaluate import evaluate
from archgrad.api.train import train
from archgrad.api.train_result import TrainResult
from archgrad.errors import InputError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Return a network for digits, hardly trained."""
    run = tmp_path_factory.mktemp("trained") / "run"
    settings = {"data.limit": 96, "data.limit_test": 40, "train.batch": 24}
    return train("DARTS_V2", data="digits", epochs=1, cells=1, channels=4, run=run, device="cpu", settings=settings)


def images_and_labels(count: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 1, 8, 8), torch.randint(10, (count,))


def test_the_run_tells_what_to_measure_on(trained: TrainResult) -> None:
    assert trained.run is not None
    assert evaluate(trained.run, device="cpu") == pytest.approx(trained.metrics)
    assert evaluate(str(trained.run)) == evaluate(trained)
    assert evaluate(trained.run, part="train") != evaluate(trained.run)


def test_the_same_words_mean_the_same_images(trained: TrainResult) -> None:
    everything = evaluate(trained, data="digits")
    assert everything == pytest.approx(trained.metrics)
    with pytest.raises(InputError, match="Unknown data 'digit'"):
        evaluate(trained, data="digit")


def test_own_data_are_measured_whole(trained: TrainResult) -> None:
    images, labels = images_and_labels()
    with torch.no_grad():
        accuracy = float((trained.network(images).argmax(1) == labels).float().mean())
    dataset = TensorDataset(images, labels)
    for data in ((images, labels), DataLoader(dataset, batch_size=7), {"train": ([], []), "test": (images, labels)}):
        assert evaluate(trained, data=data)["accuracy"] == pytest.approx(accuracy)
    one = evaluate(trained, data=(images[:1], labels[:1]))  # a class with a single image is no obstacle here
    assert one["accuracy"] in (0.0, 1.0)
    uint8 = (images * 255).round().to(torch.uint8)
    expected = evaluate(trained, data=(uint8.float() / 255, labels))
    assert evaluate(trained, data=(uint8, labels)) == pytest.approx(expected)


def test_metrics_and_loss_of_ones_own(trained: TrainResult) -> None:
    images, labels = images_and_labels()
    found = evaluate(
        trained,
        data=(images, labels),
        loss=lambda output, target: (output * 0).sum() + 7.0,
        metrics={"first": lambda output, target: (target == 0).float().mean()},
    )
    assert found == pytest.approx({"loss": 7.0, "first": float((labels == 0).float().mean())})


def test_data_that_do_not_suit_the_network_are_named(trained: TrainResult) -> None:
    images, labels = images_and_labels()
    with pytest.raises(InputError, match="are 4x8 pixels of 1 channel; the network takes 8x8 pixels of 1 channel"):
        evaluate(trained, data=(images[..., :4], labels))
    with pytest.raises(InputError, match="Labels go from 0 to 12"):
        evaluate(trained, data=(images, torch.arange(30) % 13))
    with pytest.raises(InputError, match="30 images and 29 labels"):
        evaluate(trained, data=(images, labels[:29]))
    with pytest.raises(InputError, match="Data cannot be made from"):
        evaluate(trained, data=object())
    with pytest.raises(InputError, match="Unknown part 'tset'"):
        evaluate(trained, part="tset")


def test_a_folder_with_other_classes_is_refused(trained: TrainResult, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name / f"{number}.png")
    with pytest.raises(InputError, match="classes of imagefolder:.* are cat, dog; the network's are 0, 1, 2"):
        evaluate(trained, data=f"imagefolder:{tmp_path}")


def test_data_that_changed_since_training_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((9, 11, 3), 10 * number, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    spec, settings = f"imagefolder:{folder}", {"data.size": 6, "data.mode": "L", "train.batch": 8}
    run = tmp_path / "run"
    train("DARTS_V1", data=spec, epochs=1, cells=1, channels=4, run=run, device="cpu", settings=settings)
    measured = evaluate(run)
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    assert evaluate(run, data=f"imagefolder:{other}") == pytest.approx(measured)  # read at the same size and mode
    shutil.copy(folder / "a" / "1.png", folder / "a" / "more.png")
    with pytest.raises(InputError, match="have changed since the network was trained"):
        evaluate(run)
    assert set(evaluate(run, data=spec)) == {"loss", "accuracy"}


def test_what_holds_no_network_is_named(tmp_path: Path, searched: Path) -> None:
    with pytest.raises(InputError, match="has no trained network yet. Train it first: archgrad train"):
        evaluate(searched)
    with pytest.raises(InputError, match="does not exist"):
        evaluate(tmp_path / "nowhere")
    with pytest.raises(InputError, match="A dict holds no trained network"):
        evaluate({})  # type: ignore[arg-type]
    (searched / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        evaluate(searched)


def test_a_network_of_data_in_memory_needs_them_again() -> None:
    images = torch.rand(40, 1, 6, 6), torch.arange(40) % 2
    settings = {"train.batch": 8}
    result = train("DARTS_V1", data=images, epochs=1, cells=1, channels=4, device="cpu", settings=settings)
    with pytest.raises(InputError, match="given from Python; give data to evaluate"):
        evaluate(result)
    assert 0 <= evaluate(result, data=images)["accuracy"] <= 1
