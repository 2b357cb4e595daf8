"""Datasets that draw at random are repeatable; those that cannot be kept say so."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from archgrad.errors import InputError
from archgrad.tasks import own_dataset
from archgrad.tasks.own_dataset import DatasetImages, collected, private_randomness, scanned


class Noisy(Dataset[tuple[Tensor, int]]):
    """Each image is drawn from all three global generators."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        numbers = [random.random(), float(np.random.rand()), float(torch.rand(()))]
        return torch.tensor(numbers).view(3, 1, 1).expand(3, 2, 2) + index, index % 2


def noisy() -> DatasetImages:
    images, _ = scanned(Noisy(), torch.utils.data.default_collate, 0, "train")
    return images


def test_the_same_request_gives_the_same_random_images() -> None:
    first = noisy().fetch([1, 5], (0, "weights", 3))
    torch.rand(1), random.random(), np.random.rand()
    again = noisy()
    assert torch.equal(again.fetch([1, 5], (0, "weights", 3)), first)
    assert torch.equal(again.fetch([5], (0, "weights", 3)), first[1:])
    assert not torch.equal(again.fetch([1, 5], (0, "weights", 4)), first)


def test_a_selection_draws_as_the_whole() -> None:
    images = noisy()
    assert torch.equal(images.select([6, 5]).fetch([1], ("k",)), images.fetch([5], ("k",)))


def test_the_global_generators_go_on_as_if_nothing_had_been_drawn() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draws()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    with private_randomness("key"):
        inside = draws()
    assert draws() == expected
    with private_randomness("key"):
        assert draws() == inside


def test_the_contents_are_those_of_the_first_reading() -> None:
    assert noisy().contents == noisy().contents
    plain = TensorDataset(torch.zeros(8, 3, 2, 2), torch.arange(8) % 2)
    images, labels = scanned(plain, torch.utils.data.default_collate, 0, "train")
    assert images.contents != noisy().contents
    assert labels == [0, 1] * 4


def test_a_later_image_of_another_kind_is_refused() -> None:
    first, _ = scanned(TensorDataset(torch.zeros(2, 1, 2, 2), torch.arange(2)), list_collate, 0, "train")
    changed = DatasetImages(
        TensorDataset(torch.zeros(2, 1, 3, 3), torch.arange(2)), list_collate, range(2), first.shape, first.dtype, 0, ""
    )
    with pytest.raises(InputError, match=r"\(1, 2, 2\).*\(1, 3, 3\)"):
        changed.fetch([0], ())


def list_collate(examples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[int]]:
    return torch.stack([image for image, _ in examples]), [int(label) for _, label in examples]


def test_a_loader_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_dataset, "free_memory", lambda device: 1000)
    loader = DataLoader(TensorDataset(torch.zeros(50, 1, 2, 2), torch.zeros(50)), batch_size=10)
    with pytest.raises(InputError, match="half of the free memory"):
        collected(loader, "train")
