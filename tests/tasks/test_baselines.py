"""The baselines learn, have the size that was asked for, are repeatable, and are measured on the test part alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from archgrad.errors import InputError
from archgrad.tasks.baselines import PlainNetwork, logistic_regression, plain_network

Batch = tuple[torch.Tensor, torch.Tensor]


class Digits:
    """Every fifth digit is the test part; no augmentation."""

    task = "image"
    name = "digits"
    fingerprint = "0" * 64
    input_shape: tuple[int, ...] = (1, 8, 8)
    classes = tuple("0123456789")
    mean: tuple[float, ...] = (0.3,)
    std: tuple[float, ...] = (0.38,)
    batch = 64

    def __init__(self, wrong_test_labels: bool = False, empty_test: bool = False) -> None:
        pixels, labels = load_digits(return_X_y=True)
        images = torch.from_numpy((pixels / 16).astype(numpy.float32)).view(-1, 1, 8, 8)
        targets = torch.from_numpy(labels.astype(numpy.int64))
        test = torch.arange(len(images)) % 5 == 0
        if wrong_test_labels:
            targets[test] = (targets[test] + 1) % 10
        self.parts = {"train": (images[~test], targets[~test]), "test": (images[test], targets[test])}
        if empty_test:
            self.parts["test"] = (images[:0], targets[:0])

    def size(self, part: str) -> int:
        return len(self.parts[part][1])

    def steps(self, part: str) -> int:
        return self.size(part) // self.batch

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        images, targets = self.parts[part]
        epoch = start
        while True:
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
            for step in range(self.steps(part)):
                chosen = order[step * self.batch : (step + 1) * self.batch]
                yield images[chosen], targets[chosen]
            epoch += 1

    def once(self, part: str) -> Iterator[Batch]:
        images, targets = self.parts[part]
        for first in range(0, len(images), self.batch):
            yield images[first : first + self.batch], targets[first : first + self.batch]


def test_logistic_regression_agrees_with_a_direct_fit() -> None:
    found = logistic_regression(Digits())
    pixels, labels = load_digits(return_X_y=True)
    test = numpy.arange(len(labels)) % 5 == 0
    train = pixels[~test]
    spread = train.std(0)
    spread[spread == 0] = 1
    direct = LogisticRegression(max_iter=5000).fit((train - train.mean(0)) / spread, labels[~test])
    expected = direct.score((pixels[test] - train.mean(0)) / spread, labels[test])
    assert found.metrics["accuracy"] == pytest.approx(expected, abs=0.003)
    assert found.metrics["accuracy"] > 0.93
    assert found.parameters == 10 * 64 + 10


def test_a_plain_network_learns_and_repeats_itself() -> None:
    first = plain_network(Digits(), at_least=5_000, epochs=6)
    again = plain_network(Digits(), at_least=5_000, epochs=6)
    assert first.metrics["accuracy"] > 0.93
    assert first.metrics["accuracy"] == again.metrics["accuracy"]


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    plain_network(Digits(), at_least=100, epochs=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("at_least", [1, 1_000, 20_000])
def test_the_plain_network_is_the_narrowest_that_is_large_enough(at_least: int) -> None:
    data = Digits()
    found = plain_network(data, at_least=at_least, epochs=1)
    sizes = [
        sum(p.numel() for p in PlainNetwork(data.input_shape, 10, width, data.mean, data.std).parameters())
        for width in range(1, 40)
    ]
    assert found.parameters == min(size for size in sizes if size >= at_least)


def test_accuracy_is_that_of_the_test_part() -> None:
    swapped = Digits(wrong_test_labels=True)
    assert plain_network(swapped, at_least=5_000, epochs=6).metrics["accuracy"] < 0.1
    assert logistic_regression(swapped).metrics["accuracy"] < 0.1


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 5), (3, 32, 32)])
def test_any_image_size_gives_logits(shape: tuple[int, int, int]) -> None:
    channels = shape[0]
    network = PlainNetwork(shape, classes=4, width=2, mean=[0.5] * channels, std=[0.2] * channels)
    assert network(torch.rand(5, *shape)).shape == (5, 4)


def test_the_network_normalises_its_input() -> None:
    torch.manual_seed(1)
    plain = PlainNetwork((1, 8, 8), 10, 4, mean=[0.0], std=[1.0]).eval()
    torch.manual_seed(1)
    normalising = PlainNetwork((1, 8, 8), 10, 4, mean=[0.25], std=[0.5]).eval()
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(normalising(images), plain((images - 0.25) / 0.5))


def test_an_empty_test_part_is_said() -> None:
    with pytest.raises(InputError, match="test part of digits is empty"):
        plain_network(Digits(empty_test=True), at_least=100, epochs=1)
    with pytest.raises(InputError, match="test part of digits is empty"):
        logistic_regression(Digits(empty_test=True))


def test_no_epoch_is_no_baseline() -> None:
    with pytest.raises(InputError, match="at least one epoch"):
        plain_network(Digits(), at_least=100, epochs=0)
