"""The batches of labelled images: splits, reader and augmentation put together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from archgrad.tasks.augment import Augmentation, augment, draw
from archgrad.tasks.in_memory import Reader, Request
from archgrad.tasks.split import Splits, generator

__all__ = ["ImageData", "Store", "as_float", "statistics"]

SAMPLE = 5000


@dataclass(frozen=True)
class Store:
    """Images and their labels.

    Attributes:
        images: delivers them.
        labels: int64 [N] on the device.
    """

    images: Reader
    labels: Tensor


class ImageData:
    """Labelled images that follow the protocol :class:`archgrad.tasks.data.Data`.

    Args:
        name: what was asked for.
        fingerprint: sha256 of the contents, in hexadecimal.
        classes: their names.
        splits: which images serve what.
        train: holds every part but ``test``.
        test: holds the part ``test``.
        augmentation: what is done to streamed images.
        mean: per channel, of the part ``train``.
        std: per channel, of the part ``train``.
    """

    task = "image"

    def __init__(
        self,
        *,
        name: str,
        fingerprint: str,
        classes: tuple[str, ...],
        splits: Splits,
        train: Store,
        test: Store,
        augmentation: Augmentation,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.classes = classes
        self.input_shape: tuple[int, ...] = train.images.shape
        self.augmentation = augmentation
        self.mean = mean
        self.std = std
        self._splits = splits
        self._train = train
        self._test = test

    def size(self, part: str) -> int:
        """Return the number of examples in a part."""
        return len(self._splits.of(part))

    def steps(self, part: str) -> int:
        """Return the number of batches in one epoch of the stream."""
        return self._splits.steps(part)

    def stream(self, part: str, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented batches in shuffled order without end; item i is a pure function of (seed, part, i).

        Args:
            part: which part.
            start: number of the first batch; a resumed run goes on where it stopped.

        Yields:
            Images float32 [n, C, H, W] and labels int64 [n], this process' share of the batch.
        """
        splits = self._splits
        store = self._store(part)
        _, height, width = store.images.shape
        # requests are drawn ahead of the images that come back, in the same order
        waiting: deque[tuple[int, Request]] = deque()

        def requests() -> Iterator[Request]:
            for number in count(start):
                indices = splits.share(splits.step(part, number))
                request = Request(indices, (splits.seed, part, number))
                waiting.append((number, request))
                yield request

        for images in store.images.read(requests()):
            number, request = waiting.popleft()
            random = generator(splits.seed, part, "augment", number)
            draws = draw(self.augmentation, splits.per_step(part), height, width, random)
            draws = draws.share(splits.rank, splits.world)
            images = augment(as_float(images), self.augmentation, draws, self.mean)
            yield images, store.labels[request.indices.to(store.labels.device)]

    def once(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every example of a part once, in order, as it is; the same in all processes."""
        store = self._store(part)
        requests = [Request(indices, (part, "once")) for indices in self._splits.in_order(part)]
        for request, images in zip(requests, store.images.read(requests), strict=True):
            yield as_float(images), store.labels[request.indices.to(store.labels.device)]

    def _store(self, part: str) -> Store:
        self._splits.of(part)
        return self._test if part == "test" else self._train


def as_float(images: Tensor) -> Tensor:
    """Return uint8 images divided by 255; float images as they are."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def statistics(images: Reader, sample: int | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return (mean, standard deviation) per channel of images in [0, 1]; a constant channel gets deviation 1.

    Args:
        images: all of the part ``train``.
        sample: how many images to look at, drawn at random; None for all. Images that lie in files are sampled whether
            or not they were kept in memory, so that a run does not depend on how much memory the machine had free.
    """
    size = len(images)
    if sample is None or sample >= size:
        indices = torch.arange(size)
    else:
        indices = torch.randperm(size, generator=generator("statistics"))[:sample].sort().values
    requests = (Request(chunk, ("statistics",)) for chunk in torch.split(indices, 256))
    pixels = 0
    total = square = torch.zeros((), dtype=torch.float64)
    for batch in images.read(requests):
        values = as_float(batch).cpu().double()
        pixels += values[:, 0].numel()
        total = total + values.sum((0, 2, 3))
        square = square + values.square().sum((0, 2, 3))
    mean = total / pixels
    std = (square / pixels - mean.square()).clamp(min=0).sqrt()
    std = torch.where(std > 1e-6, std, torch.ones_like(std))
    return tuple(mean.tolist()), tuple(std.tolist())
