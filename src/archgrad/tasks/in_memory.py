"""Images kept whole on the device: a batch is one gather, nothing else moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["InMemory", "Reader", "Request"]


@dataclass(frozen=True)
class Request:
    """Images wanted together.

    Attributes:
        indices: int64 [n], which.
        key: what seeds a source that draws at random.
    """

    indices: Tensor
    key: tuple[object, ...]

    def numbers(self) -> Sequence[int]:
        """Return the indices as Python numbers."""
        numbers: list[int] = self.indices.tolist()
        return numbers


class Reader(Protocol):
    """Delivers requested images, from memory or from disk."""

    shape: tuple[int, int, int]

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def read(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """Yield images [n, C, H, W] on the device, one tensor a request, in their order; requests may be endless."""
        ...


class InMemory:
    """Images that are on the device already.

    Args:
        images: uint8 or float32 [N, C, H, W].
        device: where they are kept.
    """

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.images = images.to(device)
        self.shape = (images.shape[1], images.shape[2], images.shape[3])

    def __len__(self) -> int:
        return len(self.images)

    def read(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """Yield a copy of the requested images."""
        for request in requests:
            yield self.images[request.indices.to(self.images.device)]
