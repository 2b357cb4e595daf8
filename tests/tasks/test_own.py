"""The user's own tensors, datasets and loaders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from archgrad.errors import InputError
from archgrad.tasks.own import load_own
from archgrad.tasks.own_dataset import DatasetImages

IMAGES = torch.randint(256, (12, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
LABELS = torch.arange(12) % 3


class Pairs(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: Tensor = IMAGES, labels: Tensor = LABELS) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])


class Endless(IterableDataset[tuple[Tensor, int]]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for number in range(self.count):
            yield IMAGES[number % 12], number % 3


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, LABELS),
        [IMAGES.numpy(), LABELS.numpy()],
        (IMAGES.numpy(), LABELS.tolist()),
        TensorDataset(IMAGES, LABELS),
        DataLoader(TensorDataset(IMAGES, LABELS), batch_size=5, shuffle=True),
        DataLoader(Endless(12), batch_size=5),
        Endless(12),
        {"train": (IMAGES, LABELS)},
    ],
)
def test_what_is_in_memory_stays_there(given: object) -> None:
    raw = load_own(given)
    raw.check()
    assert isinstance(raw.train, Tensor)
    assert torch.equal(raw.train, IMAGES)
    assert torch.equal(raw.train_labels, LABELS)
    assert raw.train_labels.dtype == torch.int64
    assert raw.classes == ("0", "1", "2")
    assert raw.test is None
    assert raw.fingerprint == load_own((IMAGES, LABELS)).fingerprint


@pytest.mark.parametrize("given", [Pairs(), DataLoader(Pairs(), batch_size=4, num_workers=1)])
def test_a_dataset_is_read_when_asked(given: object) -> None:
    raw = load_own(given)
    raw.check()
    assert isinstance(raw.train, DatasetImages)
    assert not raw.train.keep
    assert raw.train.workers == (1 if isinstance(given, DataLoader) else 0)
    assert torch.equal(raw.train.fetch([7, 2], ()), IMAGES[[7, 2]])
    assert torch.equal(raw.train_labels, LABELS)


def test_a_loaders_collate_function_is_used() -> None:
    def collate(examples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        return torch.stack([image.flip(0) for image, _ in examples]), torch.tensor([2 - label for _, label in examples])

    raw = load_own(DataLoader(Pairs(), batch_size=3, collate_fn=collate))
    assert isinstance(raw.train, DatasetImages)
    assert torch.equal(raw.train.fetch([1], ()), IMAGES[[1]].flip(1))
    assert torch.equal(raw.train_labels, 2 - LABELS)


def test_float_images_are_taken_as_they_are() -> None:
    images = torch.randn(12, 1, 4, 4, dtype=torch.float64) * 40
    raw = load_own((images, LABELS))
    assert isinstance(raw.train, Tensor)
    assert raw.train.dtype == torch.float32
    assert torch.equal(raw.train, images.float())


def test_images_without_channels_get_one() -> None:
    raw = load_own((np.zeros((12, 6, 7), dtype=np.uint8), LABELS))
    assert raw.train.shape == (12, 1, 6, 7)


def test_test_data_and_class_names_may_be_given() -> None:
    raw = load_own({"train": Pairs(), "test": (IMAGES[:4], LABELS[:4]), "classes": ["x", "y", "z", "none"]})
    assert raw.classes == ("x", "y", "z", "none")
    assert isinstance(raw.test, Tensor)
    assert raw.test_labels is not None and raw.test_labels.tolist() == [0, 1, 2, 0]


def test_labels_may_be_names() -> None:
    raw = load_own((IMAGES, np.array(["dog", "cat", "eel"] * 4)))
    assert raw.classes == ("cat", "dog", "eel")
    assert raw.train_labels.tolist() == [1, 0, 2] * 4
    with pytest.raises(InputError, match="without a class.*fox"):
        load_own({"train": (IMAGES, ["dog", "cat"] * 6), "test": (IMAGES[:1], ["fox"])})


def nan() -> Tensor:
    images = torch.zeros(12, 1, 4, 4)
    images[3, 0, 1, 1] = torch.nan
    images[7] = torch.inf
    return images


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "an object of type int"),
        ((IMAGES, LABELS, LABELS), "3 things"),
        ({"training": (IMAGES, LABELS)}, "keys train, test and classes; got: training"),
        ({"train": (IMAGES, LABELS), "classes": 3}, "list of their names"),
        ((IMAGES.long(), LABELS), "type int64; whole numbers must be uint8"),
        ((nan(), LABELS), "NaN or infinite: numbers 3, 7"),
        ((IMAGES.permute(0, 2, 3, 1).repeat(1, 2, 1, 1), LABELS), r"looks like \[N, H, W, C\]"),
        ((IMAGES[0, 0], LABELS), r"must be \[N, C, H, W\]"),
        (([[1, 2], [3]], LABELS), "no array of numbers"),
        ((np.array(["a"] * 12), LABELS), "no array of numbers"),
        ((IMAGES, LABELS.float()), "whole numbers or names, got float32"),
        ((IMAGES, torch.eye(12)[:, :3].long()), r"one number an image, got an array of shape \(12, 3\)"),
        ({"train": (IMAGES, LABELS), "test": (IMAGES, ["a"] * 12)}, "both be numbers or both be names"),
    ],
)
def test_what_cannot_be_used_is_explained(given: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_own(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((IMAGES, LABELS[:11]), "12 training images but 11 training labels"),
        ((IMAGES, LABELS - 1), "training label -1 is outside 0 to 1"),
        ({"train": (IMAGES, LABELS), "classes": ["a", "b"]}, "label 2 is outside 0 to 1"),
        ((IMAGES, LABELS * 0), "at least two classes"),
        ((IMAGES, torch.tensor([0] * 6 + [1] * 5 + [3])), r"no training image in: 2(.|\n)*single training image in: 3"),
        ({"train": (IMAGES, LABELS), "test": (IMAGES[:, :1], LABELS)}, r"\(3, 4, 5\).*\(1, 4, 5\)"),
        ((IMAGES[:0], LABELS[:0]), "no training images"),
    ],
)
def test_what_does_not_fit_together_is_explained(given: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_own(given).check()


class Lengthless(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        raise IndexError


class Changing(Pairs):
    """Its images have the wrong type, or another shape further on."""

    def __getitem__(self, index: int) -> Any:
        return (IMAGES[index] if index < 6 else IMAGES[index, :, :3]), 0


class Single(Pairs):
    """It gives no labels."""

    def __getitem__(self, index: int) -> Any:
        return {"image": IMAGES[index]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Lengthless(), "no length"),
        (Pairs(IMAGES[:0]), "is empty"),
        (Changing(), "No batch can be made"),
        (TensorDataset(IMAGES, LABELS, LABELS), "3 things"),
        (Endless(0), "gives no batches"),
        (DataLoader(Single(), batch_size=1), "pair"),
    ],
)
def test_datasets_that_cannot_be_used_are_explained(given: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_own(given)
