"""What a loader returns: images as they are kept, whole or to be read piece by piece, and their labels.

A loader knows its format and nothing of splits, batches and augmentation, which are the same for all image data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from archgrad.errors import several
from archgrad.tasks.augment import Augmentation

__all__ = ["ImageSource", "Images", "RawImages", "digest", "listed"]


class ImageSource(Protocol):
    """Images that are read when they are asked for: files, or the user's own dataset."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """uint8, or float32 as the user gave it."""
        ...

    @property
    def keep(self) -> bool:
        """Whether an image is always the same, so that it may be kept in memory when there is room."""
        ...

    @property
    def workers(self) -> int:
        """How many processes read, unless the user says otherwise."""
        ...

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def fetch(self, indices: Sequence[int], key: tuple[object, ...]) -> Tensor:
        """Read images [n, C, H, W] on the CPU.

        Args:
            indices: which.
            key: what seeds a source that draws at random; the same (index, key) gives the same image.

        Raises:
            InputError: an image cannot be read; the message names it.
        """
        ...

    def select(self, indices: Sequence[int]) -> ImageSource:
        """Return a source of these images only, in this order."""
        ...


Images = Tensor | ImageSource


@dataclass
class RawImages:
    """Labelled images before they are divided into parts.

    Attributes:
        name: short name for messages.
        train: uint8 or float32 tensor [N, C, H, W] (uint8 counts 0 to 255, float is taken as it is), or a source.
        train_labels: int64 [N], numbers of classes.
        test: as ``train``; None where the data come without a test part.
        test_labels: int64; None where the data come without a test part.
        classes: their names.
        fingerprint: sha256 in hexadecimal over the contents.
        augmentation: what suits these images unless the user says otherwise.
    """

    name: str
    train: Images
    train_labels: Tensor
    test: Images | None
    test_labels: Tensor | None
    classes: tuple[str, ...]
    fingerprint: str
    augmentation: Augmentation = field(default_factory=Augmentation)

    def check(self) -> None:
        """Raise one InputError that lists all that does not fit together: lengths, shapes, labels, single images."""
        problems = []
        parts = [("training", self.train, self.train_labels)]
        if self.test is not None and self.test_labels is not None:
            parts.append(("test", self.test, self.test_labels))
            here, there = _shape(self.train), _shape(self.test)
            if here != there:
                problems.append(f"training images are {here} (channels, height, width), test images {there}")
        for part, images, labels in parts:
            if not len(images):
                problems.append(f"there are no {part} images")
            if len(images) != len(labels):
                problems.append(f"there are {len(images)} {part} images but {len(labels)} {part} labels")
            wrong = labels[(labels < 0) | (labels >= len(self.classes))]
            if len(wrong):
                problems.append(
                    f"{part} label {int(wrong[0])} is outside 0 to {len(self.classes) - 1}, the numbers of the classes"
                )
        if len(self.classes) < 2:
            problems.append(f"classification needs at least two classes, got {len(self.classes)}")
        if not problems:
            counts = torch.bincount(self.train_labels, minlength=len(self.classes)).tolist()
            for words, wrong_count in (("no training image", 0), ("a single training image", 1)):
                few = [name for name, count in zip(self.classes, counts, strict=True) if count == wrong_count]
                if few:
                    problems.append(f"every class needs at least two training images; {words} in: {listed(few)}")
        if problems:
            raise several(f"The images of {self.name} cannot be used", problems)


def _shape(images: Images) -> tuple[int, ...]:
    return tuple(images.shape[-3:])


def listed(things: Sequence[object], most: int = 10) -> str:
    """Return things joined by commas, the rest as a count: a message about 50,000 files names a few."""
    words = ", ".join(str(thing) for thing in things[:most])
    return words + (f" and {len(things) - most} more" if len(things) > most else "")


def digest(*contents: Tensor | str | Sequence[str]) -> str:
    """Return the sha256 over tensors (type, shape, bytes) and words, in hexadecimal."""
    total = hashlib.sha256()
    for content in contents:
        if isinstance(content, Tensor):
            total.update(f"{content.dtype} {tuple(content.shape)}\n".encode())
            # in pieces, because images on a GPU have to come over
            for piece in torch.split(content.detach().reshape(-1), 1 << 26):
                total.update(piece.cpu().contiguous().numpy().data)
        else:
            lines = [content] if isinstance(content, str) else content
            total.update("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
    return total.hexdigest()
