"""Predictions: one answer an image, from files, folders and arrays; what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from archgrad.api.predict import predict
from archgrad.api.train import train
from archgrad.api.train_result import TrainResult
from archgrad.errors import InputError


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Return a network for digits of 8x8 pixels."""
    run = tmp_path_factory.mktemp("grey") / "run"
    settings = {"data.limit": 96, "data.limit_test": 40, "train.batch": 24}
    return train("DARTS_V2", data="digits", epochs=1, cells=1, channels=4, run=run, device="cpu", settings=settings)


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Return a network for photographs that were brought to 6x6 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 255, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    settings = {"data.size": 6, "data.mode": "RGB", "train.batch": 8}
    spec = f"imagefolder:{folder}"
    return train("DARTS_V1", data=spec, epochs=1, cells=1, channels=4, device="cpu", settings=settings)


def pixels(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_an_array_gives_one_answer_an_image(grey: TrainResult) -> None:
    images = pixels(5, 1, 8, 8)
    answers = predict(grey, images)
    with torch.no_grad():
        expected = grey.network(torch.from_numpy(images) / 255).softmax(1)
    assert [answer["input"] for answer in answers] == [0, 1, 2, 3, 4]
    for answer, row in zip(answers, expected, strict=True):
        assert list(answer["probabilities"]) == [str(digit) for digit in range(10)]
        assert list(answer["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-6)
        assert answer["class"] == str(int(row.argmax()))
        assert answer["probability"] == max(answer["probabilities"].values())
    json.dumps(answers, allow_nan=False)


def test_the_same_images_in_every_form(grey: TrainResult, tmp_path: Path) -> None:
    images = pixels(70, 1, 8, 8)  # more than one batch
    expected = [answer["probabilities"] for answer in predict(grey.run or "", torch.from_numpy(images))]
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    for number, image in enumerate(images):
        place = tmp_path / "folder" / ("deeper" if number >= 35 else "")
        Image.fromarray(image[0]).save(place / f"{'z' if number < 35 else 'a'}{number:02d}.png")
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    forms: dict[str, Any] = {
        "floats": images / np.float64(255),
        "without the channel": images[:, 0],
        "a tensor": torch.from_numpy(images).half() / 255,
        "the other byte order": (images / 255).astype(">f4"),
        "backwards twice": images[::-1][::-1],
        "a file of numpy": tmp_path / "images.npy",
        "a folder": str(tmp_path / "folder"),
    }
    for form, given in forms.items():
        answers = predict(grey, given)
        if form == "a folder":
            names = [Path(answer["input"]).relative_to(tmp_path / "folder").as_posix() for answer in answers]
            assert names == sorted(names) and names[0] == "deeper/a35.png"
            answers = answers[35:] + answers[:35]
        if form == "a file of numpy":
            assert answers[3]["input"] == f"{tmp_path / 'images.npy'}[3]"
        tolerance = 1e-2 if form == "a tensor" else 1e-5
        for answer, row in zip(answers, expected, strict=True):
            assert answer["probabilities"] == pytest.approx(row, abs=tolerance), form
    one = predict(grey, tmp_path / "folder" / "z03.png")
    assert one[0]["probabilities"] == pytest.approx(expected[3], abs=1e-5)
    assert predict(grey, images[0])[0]["probabilities"] == pytest.approx(expected[0], abs=1e-5)


def test_images_are_read_as_training_read_them(colour: TrainResult, tmp_path: Path) -> None:
    image = Image.fromarray(pixels(9, 12))
    image.save(tmp_path / "grey.png")
    image.convert("RGB").save(tmp_path / "rgb.png")
    first, second = predict(colour, tmp_path)
    assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-6)
    assert set(first["probabilities"]) == {"cat", "dog"}


def test_a_black_and_white_image_is_a_grey_one(grey: TrainResult, tmp_path: Path) -> None:
    Image.fromarray(pixels(8, 8)).convert("1").save(tmp_path / "fax.png")
    assert len(predict(grey, tmp_path / "fax.png")) == 1


def test_images_that_do_not_fit_are_all_named(grey: TrainResult, tmp_path: Path) -> None:
    Image.fromarray(pixels(8, 8)).save(tmp_path / "right.png")
    Image.fromarray(pixels(10, 20)).save(tmp_path / "large.png")
    Image.fromarray(pixels(8, 8, 3)).save(tmp_path / "colour.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and then nothing")
    with pytest.raises(InputError) as caught:
        predict(grey, tmp_path)
    message = str(caught.value)
    assert "3 problems" in message and "right.png" not in message
    assert "large.png is 20x10 pixels of mode L; the network takes 8x8 pixels of mode L (grey)" in message
    assert "colour.png is 8x8 pixels of mode RGB" in message
    assert "broken.png is no image, or damaged" in message
    for number in range(12):
        Image.fromarray(pixels(9, 9)).save(tmp_path / f"odd{number}.png")
    with pytest.raises(InputError, match="and 5 more"):
        predict(grey, tmp_path)


def test_a_truncated_image_is_named(grey: TrainResult, tmp_path: Path) -> None:
    Image.fromarray(pixels(8, 8)).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cut.png"):
        predict(grey, tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 3, 8, 8), np.uint8), r"has the shape \(2, 3, 8, 8\); the network takes \(N, 1, 8, 8\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"Channels come first: permute\(0, 3, 1, 2\)"),
        (np.zeros((0, 1, 8, 8), np.uint8), "holds no image"),
        (np.zeros((1, 1, 8, 8), np.int64), "holds torch.int64; images are uint8"),
        (np.full((1, 1, 8, 8), "x"), "holds <U1; images are uint8"),
        (np.full((1, 1, 8, 8), np.nan), "values that are not finite"),
        (np.full((1, 1, 8, 8), 16.0), "floats from 16 to 16; the network takes floats from 0 to 1"),
        ([[0.0]], "Images cannot be made of a list"),
    ],
)
def test_arrays_that_do_not_fit_are_named(grey: TrainResult, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(grey, given)


def test_files_that_are_no_arrays_are_never_unpickled(grey: TrainResult, tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "empty.npy").touch()
    for name in ("objects", "text", "empty"):
        with pytest.raises(InputError, match=f"{name}.npy cannot be read: it is no array of numbers"):
            predict(grey, tmp_path / f"{name}.npy")
    with pytest.raises(InputError, match="nowhere.npy cannot be read: No such file"):
        predict(grey, tmp_path / "nowhere.npy")
    with pytest.raises(InputError, match="nowhere.png does not exist"):
        predict(grey, tmp_path / "nowhere.png")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="There is no image in the folder"):
        predict(grey, tmp_path / "bare")
