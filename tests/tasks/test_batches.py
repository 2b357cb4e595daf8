"""Batches: the deterministic protocol, augmentation by number, statistics."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from archgrad.tasks.augment import Augmentation
from archgrad.tasks.batches import ImageData, Store, as_float, statistics
from archgrad.tasks.in_memory import InMemory, Reader
from archgrad.tasks.split import Splits
from archgrad.tasks.streaming import Streaming, TensorImages

CPU = torch.device("cpu")
IMAGES = torch.randint(256, (30, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(30)


def data(
    *, streamed: bool = False, seed: int = 0, rank: int = 0, world: int = 1, augmentation: Augmentation | None = None
) -> ImageData:
    parts = {"weights": torch.arange(0, 22), "validation": torch.arange(22, 30), "test": torch.arange(30)}
    reader: Reader = Streaming(TensorImages(IMAGES), CPU, 1) if streamed else InMemory(IMAGES, CPU)
    return ImageData(
        name="x",
        fingerprint="f",
        classes=tuple("abc"),
        splits=Splits(parts, seed, 4, rank, world),
        train=Store(reader, LABELS),
        test=Store(InMemory(255 - IMAGES, CPU), LABELS),
        augmentation=augmentation or Augmentation(crop_padding=1, flip=True, cutout=2),
        mean=(0.5, 0.5, 0.5),
        std=(1.0, 1.0, 1.0),
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stream_can_be_entered_anywhere(streamed: bool) -> None:
    whole = list(islice(data(streamed=streamed).stream("weights"), 13))
    for start in (4, 11):
        rest = islice(data(streamed=streamed).stream("weights", start), 13 - start)
        for (images, labels), (again, labels_again) in zip(whole[start:], rest, strict=True):
            assert images.numpy().tobytes() == again.numpy().tobytes()
            assert torch.equal(labels, labels_again)


def test_streaming_and_memory_give_the_same_batches() -> None:
    pairs = zip(data(streamed=True).stream("weights"), data().stream("weights"), strict=False)
    for (images, labels), (kept, kept_labels) in islice(pairs, 12):
        assert torch.equal(images, kept)
        assert torch.equal(labels, kept_labels)


def test_seeds_and_parts_have_streams_of_their_own() -> None:
    labels = [
        torch.cat([labels for _, labels in islice(data(seed=seed).stream(part), 2)]).tolist()
        for seed, part in ((0, "weights"), (1, "weights"), (0, "test"))
    ]
    assert labels[0] != labels[1]
    assert labels[0] != labels[2]


def test_processes_share_images_labels_and_augmentation() -> None:
    alone = data().stream("weights")
    ranks = [data(rank=rank, world=2).stream("weights") for rank in range(2)]
    for _ in range(7):
        images, labels = next(alone)
        shares = [next(rank) for rank in ranks]
        for rank, (part, part_labels) in enumerate(shares):
            assert torch.equal(images[rank::2], part)
            assert torch.equal(labels[rank::2], part_labels)


def test_without_augmentation_a_stream_gives_the_images_of_its_labels() -> None:
    for images, labels in islice(data(augmentation=Augmentation()).stream("weights"), 6):
        assert torch.equal(images, IMAGES[labels] / 255)
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64


@pytest.mark.parametrize("world", [1, 2])
def test_once_gives_everything_in_order_as_it_is_in_every_process(world: int) -> None:
    batches = list(data(rank=world - 1, world=world).once("validation"))
    assert [len(labels) for _, labels in batches] == [4, 4]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(22, 30))
    assert torch.equal(torch.cat([images for images, _ in batches]), IMAGES[22:] / 255)
    test = torch.cat([images for images, _ in data().once("test")])
    assert torch.equal(test, (255 - IMAGES) / 255)


def test_sizes_and_steps() -> None:
    assert data().size("weights") == 22
    assert data().steps("weights") == 5
    assert data().input_shape == (3, 6, 6)


def test_only_bytes_are_scaled() -> None:
    assert as_float(torch.tensor([255], dtype=torch.uint8)).tolist() == [1.0]
    assert as_float(torch.tensor([255.0])).tolist() == [255.0]


def test_statistics_are_those_of_numpy() -> None:
    mean, std = statistics(InMemory(IMAGES, CPU), None)
    pixels = IMAGES.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-6)
    assert std == pytest.approx(pixels.std((0, 2, 3)), abs=1e-6)


def test_a_sample_is_the_same_however_the_images_are_read() -> None:
    kept = statistics(InMemory(IMAGES, CPU), 10)
    assert kept == statistics(Streaming(TensorImages(IMAGES), CPU, 0), 10)
    assert kept != statistics(InMemory(IMAGES, CPU), None)


def test_a_constant_channel_has_deviation_one() -> None:
    images = torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)
    mean, std = statistics(InMemory(images, CPU), None)
    assert mean == pytest.approx((0.2,))
    assert std == (1.0,)
