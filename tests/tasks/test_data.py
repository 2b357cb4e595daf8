"""From a SPEC or the user's objects to data that follow the protocol."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from archgrad import registry
from archgrad.errors import InputError
from archgrad.tasks import data as data_module
from archgrad.tasks.batches import ImageData
from archgrad.tasks.data import Data, find_device, open_data, parse_spec
from archgrad.tasks.digits import load_digits
from archgrad.tasks.in_memory import InMemory
from archgrad.tasks.streaming import Streaming

PARTS = ("weights", "choices", "validation", "train", "test")
IMAGES = torch.randint(256, (60, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(60) % 3


class MakeFolder(Protocol):
    def __call__(self, name: str = ..., *, each: int = ...) -> Path: ...


def opened(spec: object, seed: int = 0, choice_share: float = 0.5, **options: Any) -> Data:
    return open_data(spec, seed=seed, batch=8, choice_share=choice_share, device="cpu", options=options)


def everything(data: Data, part: str) -> Tensor:
    return torch.cat([images for images, _ in data.once(part)])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("digits", ("digits", None)),
        ("cifar10:/a/b", ("cifar10", "/a/b")),
        ("imagefolder:C:/x", ("imagefolder", "C:/x")),
        ("cifar10:", ("cifar10", None)),
    ],
)
def test_a_spec_is_a_name_and_perhaps_an_argument(spec: str, expected: tuple[str, str | None]) -> None:
    assert parse_spec(spec) == expected


def test_unknown_data_show_the_nearest_match_and_a_path_its_spec(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unknown data 'digit'. Did you mean 'digits'"):
        parse_spec("digit")
    with pytest.raises(InputError, match=f"write imagefolder:{tmp_path}"):
        parse_spec(str(tmp_path))


def test_digits_have_all_parts() -> None:
    data = opened("digits")
    assert {part: data.size(part) for part in PARTS} == {
        "test": 359,
        "train": 1438,
        "validation": 144,
        "weights": 647,
        "choices": 647,
    }
    assert (data.name, data.task, data.input_shape) == ("digits", "image", (1, 8, 8))
    assert data.steps("weights") == 80
    images, labels = next(data.stream("weights"))
    assert images.shape == (8, 1, 8, 8)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert labels.dtype == torch.int64


def test_statistics_are_of_everything_but_the_test_part() -> None:
    data = opened("digits")
    pixels = everything(data, "train").double().numpy()
    assert data.mean == pytest.approx((pixels.mean(),), abs=1e-6)
    assert data.std == pytest.approx((pixels.std(),), abs=1e-6)


def test_the_test_part_is_fixed_by_the_data_and_the_others_by_the_seed() -> None:
    one, other = opened("digits", seed=0), opened("digits", seed=1)
    assert torch.equal(everything(one, "test"), everything(other, "test"))
    assert not torch.equal(everything(one, "validation"), everything(other, "validation"))
    assert one.fingerprint == other.fingerprint


def test_images_of_the_parts_are_the_original_ones_each_once() -> None:
    data = opened("digits")
    raw = load_digits(None).train
    assert isinstance(raw, Tensor)
    parts = torch.cat([everything(data, part) for part in ("weights", "choices", "validation", "test")])
    given, original = ((images * 255).round().flatten(1).tolist() for images in (parts, raw.float() / 255))
    assert sorted(given) == sorted(original)


def test_joint_training_uses_the_same_set_twice() -> None:
    data = opened("digits", choice_share=0.0)
    assert data.size("weights") == data.size("choices") == 1294
    assert torch.equal(everything(data, "weights"), everything(data, "choices"))


def test_a_limit_keeps_a_stratified_seeded_subset() -> None:
    data, other = opened("digits", limit=200, limit_test=50), opened("digits", seed=1, limit=200, limit_test=50)
    assert data.size("train") == 200
    assert data.size("test") == 50
    labels = torch.cat([labels for _, labels in data.once("train")])
    assert set(torch.bincount(labels).tolist()) <= {19, 20, 21}
    assert not torch.equal(everything(data, "train"), everything(other, "train"))
    assert torch.equal(everything(data, "train"), everything(opened("digits", limit=200), "train"))
    assert opened("digits", limit=10**6).size("train") == 1438


def test_options_change_batch_and_augmentation() -> None:
    data = opened("digits", batch=5, crop_padding=0, flip=False)
    images, labels = next(data.stream("train"))
    assert len(labels) == 5
    known = {tuple(image.flatten().tolist()) for image in everything(data, "train")}
    assert all(tuple(image.flatten().tolist()) in known for image in images)
    hidden, _ = next(opened("digits", crop_padding=0, cutout=4).stream("train"))
    assert torch.isclose(hidden, torch.tensor(data.mean[0])).flatten(1).any(1).all()


def test_own_tensors_follow_the_protocol() -> None:
    data = opened((IMAGES, LABELS))
    assert data.name == "own tensors"
    assert data.classes == ("0", "1", "2")
    assert data.size("test") == 12
    images, _ = next(data.stream("weights"))
    assert images.shape == (8, 1, 6, 6)


class Pairs(Dataset[Any]):
    """A map-style dataset of the user's own kind."""

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> Any:
        return tuple(tensor[index] for tensor in self.tensors)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "free_memory", lambda device: 100)


def reader(data: Data) -> object:
    assert isinstance(data, ImageData)
    return data._train.images


def test_a_dataset_gives_the_same_batches_as_its_tensors() -> None:
    streamed = opened(Pairs(IMAGES, LABELS), workers=1)
    kept = opened((IMAGES, LABELS))
    assert isinstance(reader(streamed), Streaming)
    for (images, labels), (expected, expected_labels) in islice(
        zip(streamed.stream("weights", 2), kept.stream("weights", 2), strict=False), 6
    ):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)
    assert streamed.mean == kept.mean


def test_a_folder_is_kept_if_there_is_room(make_folder: MakeFolder) -> None:
    data = opened(f"imagefolder:{make_folder(each=20)}")
    assert isinstance(reader(data), InMemory)
    assert {part: data.size(part) for part in ("train", "test")} == {"train": 32, "test": 8}


@pytest.mark.usefixtures("little_memory")
def test_a_folder_that_is_too_large_is_streamed_with_the_same_result(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"imagefolder:{make_folder(each=20)}"
    streamed = opened(spec, workers=1)
    assert isinstance(reader(streamed), Streaming)
    monkeypatch.undo()
    kept = opened(spec)
    assert isinstance(reader(kept), InMemory)
    assert (streamed.fingerprint, streamed.mean, streamed.std) == (kept.fingerprint, kept.mean, kept.std)
    for one, other in islice(zip(streamed.stream("choices"), kept.stream("choices"), strict=False), 4):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert torch.equal(everything(streamed, "test"), everything(kept, "test"))


@pytest.mark.usefixtures("little_memory")
def test_tensors_on_the_device_are_not_copied_for_want_of_room() -> None:
    assert isinstance(reader(opened((IMAGES, LABELS))), InMemory)


def test_a_damaged_image_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder(each=20)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(folder / "cat" / "bad.bmp")
    content = (folder / "cat" / "bad.bmp").read_bytes()
    (folder / "cat" / "bad.bmp").write_bytes(content[:-40])
    with pytest.raises(InputError, match="bad.bmp' cannot be decoded"):
        opened(f"imagefolder:{folder}")


def test_a_folder_without_permission_is_a_message(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    folder = make_folder()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        opened(f"imagefolder:{folder}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 8}, "Unknown option 'size'"),
        ({"cutout": 8}, "hides whole images of 8 pixels; take at most 4"),
        ({"limit": 1}, "too few"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_explained(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        opened("digits", **options)


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cuda:99", "xpu"):
        with pytest.raises(InputError, match=f"no device '{name}' here. Available: auto, cpu"):
            find_device(name)


def test_a_users_loader_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PARTS, "data", dict(registry.PARTS["data"]))
    registry.register("data", "mine", lambda argument, *, twice=False: load_digits(None))
    assert opened("mine", twice=True).size("test") == 359
    with pytest.raises(InputError, match="Did you mean 'twice'"):
        opened("mine", twise=True)
