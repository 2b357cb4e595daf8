"""Images read by workers: the same as from memory, in the same order, with errors as messages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import pytest
import torch
from torch import Tensor

from archgrad.errors import InputError
from archgrad.tasks.in_memory import InMemory, Request
from archgrad.tasks.streaming import Streaming, TensorImages, computed_ahead, free_memory, gather, processors

CPU = torch.device("cpu")


def endless() -> Iterator[Request]:
    for number in count():
        yield Request(torch.tensor([number % 7, (3 * number) % 7]), (number,))


@dataclass
class Broken:
    """Two of its images cannot be read."""

    shape = (1, 2, 2)
    dtype = torch.uint8
    keep = True
    workers = 1

    def __len__(self) -> int:
        return 200

    def fetch(self, indices: Sequence[int], key: tuple[object, ...]) -> Tensor:
        wrong = [index for index in indices if index in (5, 190)]
        if wrong:
            raise InputError(f"image {wrong[0]} is broken")
        return torch.zeros((len(indices), 1, 2, 2), dtype=torch.uint8)

    def select(self, indices: Sequence[int]) -> Broken:
        return self


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_equal_those_in_memory(workers: int) -> None:
    images = torch.randint(256, (7, 3, 4, 5), dtype=torch.uint8)
    streamed = Streaming(TensorImages(images), CPU, workers).read(endless())
    kept = InMemory(images, CPU).read(endless())
    for one, other in islice(zip(streamed, kept, strict=False), 20):
        assert torch.equal(one, other)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_a_message_without_a_traceback(workers: int) -> None:
    images = Streaming(Broken(), CPU, workers).read(Request(torch.tensor([number]), ()) for number in range(4, 8))
    assert next(images).shape == (1, 1, 2, 2)
    with pytest.raises(InputError) as caught:
        next(images)
    assert str(caught.value) == "image 5 is broken"


def test_workers_are_other_processes_and_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    requests = [Request(torch.tensor([0]), ())]
    (process,) = computed_ahead(lambda request: os.getpid(), requests, 1)
    assert process != os.getpid()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_gathering_keeps_the_order_and_lists_all_that_is_broken() -> None:
    images = torch.randint(256, (150, 1, 2, 2), dtype=torch.uint8)
    assert torch.equal(gather(TensorImages(images)), images)
    with pytest.raises(InputError, match="image 5 is broken\nimage 190 is broken"):
        gather(Broken())


def test_selected_tensor_images_are_those() -> None:
    images = TensorImages(torch.arange(6.0).view(6, 1, 1, 1))
    assert images.select([4, 2]).images.flatten().tolist() == [4, 2]
    assert images.dtype == torch.float32


def test_free_memory_is_plausible() -> None:
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory(CPU) <= everything
    assert processors() >= 1
