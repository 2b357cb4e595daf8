"""A user's own torch Dataset: read through once for its labels, then asked for images while training runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archgrad.errors import InputError
from archgrad.tasks.in_memory import Request
from archgrad.tasks.raw import digest, listed
from archgrad.tasks.split import seed_of
from archgrad.tasks.streaming import CHUNK, computed_ahead, free_memory

__all__ = ["DatasetImages", "collected", "pixels", "scanned"]

Collate = Callable[[list[Any]], Any]


@dataclass(frozen=True)
class DatasetImages:
    """Images of a map-style dataset, asked for one by one.

    Whatever the dataset draws at random comes from global generators that are seeded for every single image, so that
    the same request gives the same images in any process.

    Attributes:
        dataset: gives (image, label) for an index.
        collate: makes a batch of a list of such pairs.
        indices: which of the dataset's examples these are.
        shape: (channels, height, width).
        dtype: uint8 or float32.
        workers: processes that read, unless the user says otherwise.
        contents: sha256 of what the dataset gave when it was read through, in hexadecimal.
    """

    dataset: Dataset[Any]
    collate: Collate
    indices: Sequence[int]
    shape: tuple[int, int, int]
    dtype: torch.dtype
    workers: int
    contents: str
    keep: bool = False

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, indices: Sequence[int]) -> DatasetImages:
        """Return these images only, in this order."""
        return replace(self, indices=[self.indices[index] for index in indices])

    def fetch(self, indices: Sequence[int], key: tuple[object, ...]) -> Tensor:
        """Ask the dataset for images [n, C, H, W].

        Raises:
            InputError: an image has another shape or type than the first had.
        """
        request = Request(torch.tensor([self.indices[index] for index in indices]), key)
        images, _ = _asked(self.dataset, self.collate, "own", request)
        if tuple(images.shape[1:]) != self.shape or images.dtype != self.dtype:
            raise InputError(
                f"The dataset's first images are {self.shape} of {self.dtype}, but later ones are "
                f"{tuple(images.shape[1:])} of {images.dtype}; all must be alike."
            )
        return images


def scanned(dataset: Dataset[Any], collate: Collate, workers: int, part: str) -> tuple[DatasetImages, list[Any]]:
    """Read a map-style dataset through once, and return its images, still to be read again, and its labels.

    Raises:
        InputError: it has no length or no examples, or these are no pairs of image and label.
    """
    try:
        size = len(dataset)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(
            f"The {part} dataset has no length: give it a __len__, or make it an IterableDataset."
        ) from error
    if not size:
        raise InputError(f"The {part} dataset is empty.")
    requests = [Request(indices, ("first",)) for indices in torch.split(torch.arange(size), CHUNK)]
    labels: list[Any] = []
    digests: list[str] = []
    shape: tuple[int, ...] = ()
    dtype = torch.uint8
    for images, numbers in computed_ahead(partial(_asked, dataset, collate, part), requests, workers):
        if not digests:
            shape, dtype = tuple(images.shape[1:]), images.dtype
        labels += numbers
        digests.append(digest(images))
    channels, height, width = shape
    contents = digest(digests)
    return DatasetImages(dataset, collate, range(size), (channels, height, width), dtype, workers, contents), labels


def collected(loader: DataLoader[Any], part: str) -> tuple[Tensor, list[Any]]:
    """Read a loader to its end and keep what it gives, because an iterable dataset cannot be asked for single images.

    Raises:
        InputError: it gives nothing, no pairs of image and label, or more than half of the free memory holds.
    """
    room = free_memory(torch.device("cpu")) / 2
    batches: list[Tensor] = []
    labels: list[Any] = []
    for batch in loader:
        images, numbers = _pair(batch, part)
        batches.append(images)
        labels += numbers
        room -= images.nbytes
        if room < 0:
            raise InputError(
                f"The {part} loader gives more images than half of the free memory holds, and its iterable dataset "
                "cannot be read again in another order. Give a map-style dataset (with __getitem__ and __len__)."
            )
    if not batches:
        raise InputError(f"The {part} loader gives no batches.")
    if len({(images.shape[1:], images.dtype) for images in batches}) > 1:
        raise InputError(f"The {part} loader's images must all have the same shape and type.")
    return torch.cat(batches), labels


def _asked(dataset: Dataset[Any], collate: Collate, part: str, request: Request) -> tuple[Tensor, list[Any]]:
    """Return the images [n, C, H, W] and the labels that a dataset gives for a request."""
    examples = []
    for index in request.numbers():
        with private_randomness(*request.key, index):
            examples.append(dataset[index])
    try:
        batch = collate(examples)
    # collate functions raise these where examples are of a strange type or differ in shape
    except (TypeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"No batch can be made of the {part} dataset's examples ({error}). Each must be a pair (image, label) with "
            "an image tensor [C, H, W], all of one shape."
        ) from error
    return _pair(batch, part)


def _pair(batch: Any, part: str) -> tuple[Tensor, list[Any]]:
    """Return a batch as images [n, C, H, W] and a list of labels."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise InputError(f"The {part} data must give pairs (image, label), got a batch of type {type(batch).__name__}.")
    images, labels = batch
    return pixels(images, part), labels.tolist() if isinstance(labels, (Tensor, np.ndarray)) else list(labels)


def pixels(given: Any, part: str) -> Tensor:
    """Return images as uint8 or float32 [N, C, H, W].

    Raises:
        InputError: another type or shape, or values that are not finite.
    """
    try:
        images = given.detach() if isinstance(given, Tensor) else torch.from_numpy(np.array(given))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"The {part} images are no array of numbers of one shape ({error}).") from error
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise InputError(f"The {part} images must be [N, C, H, W] or [N, H, W], got {tuple(images.shape)}.")
    if images.shape[-1] in (1, 3, 4) and images.shape[1] > 4:
        raise InputError(
            f"The {part} images are {tuple(images.shape)}, which looks like [N, H, W, C]; "
            "put the channels first: images.transpose(0, 3, 1, 2) in numpy, images.permute(0, 3, 1, 2) in torch."
        )
    if images.dtype == torch.uint8:
        return images.contiguous()
    if not images.is_floating_point():
        raise InputError(
            f"The {part} images are of type {str(images.dtype).removeprefix('torch.')}; whole numbers must be uint8 "
            "(0 to 255), anything else float."
        )
    images = images.float().contiguous()
    wrong = (~torch.isfinite(images)).flatten(1).any(1).nonzero().flatten().tolist()
    if wrong:
        raise InputError(f"Some {part} images have values that are NaN or infinite: numbers {listed(wrong)}.")
    return images


@contextmanager
def private_randomness(*key: object) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch by a key for a while, and put them back afterwards."""
    python, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    seed = seed_of(*key)
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.random.set_rng_state(torch_state)
