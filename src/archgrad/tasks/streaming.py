"""Images read while training runs, by worker processes, in the same fixed order as from memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archgrad.errors import InputError
from archgrad.tasks.in_memory import Request
from archgrad.tasks.raw import ImageSource

__all__ = ["CHUNK", "Streaming", "TensorImages", "computed_ahead", "free_memory", "gather", "processors"]

CHUNK = 64
T = TypeVar("T")


class Streaming:
    """Images read from a source when they are asked for, some requests ahead.

    Args:
        source: where they come from.
        device: where they go.
        workers: processes that read, at most one a processor; 0 reads in the calling process.
    """

    def __init__(self, source: ImageSource, device: torch.device, workers: int) -> None:
        self.source = source
        self.device = device
        self.shape = source.shape
        self.workers = workers

    def __len__(self) -> int:
        return len(self.source)

    def read(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """Yield the requested images.

        Raises:
            InputError: an image cannot be read; the message names it.
        """
        for images in computed_ahead(self._fetch, requests, self.workers, pin=self.device.type == "cuda"):
            yield images.to(self.device, non_blocking=True)

    def _fetch(self, request: Request) -> Tensor:
        return self.source.fetch(request.numbers(), request.key)


def computed_ahead(
    function: Callable[[Request], T], requests: Iterable[Request], workers: int, pin: bool = False
) -> Iterator[T]:
    """Yield what a function makes of every request, in order, computed ahead of time by worker processes.

    Args:
        function: returns tensors, or tuples of them.
        requests: may be endless.
        workers: at most one a processor; 0 computes in the calling process, when asked.
        pin: put the tensors into page-locked memory, from where a GPU fetches them while it computes.

    Raises:
        InputError: what the function raised; other exceptions arrive with the worker's traceback.
    """
    loader: DataLoader[T | InputError] = DataLoader(
        _Function(function),
        sampler=requests,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=min(workers, processors()),
        pin_memory=pin,
        # without a generator of its own a loader draws from the global one, and a resumed run would differ
        generator=torch.Generator(),
    )
    for result in loader:
        if isinstance(result, InputError):
            raise result
        yield result


class _Function(Dataset["T | InputError"], Generic[T]):
    """A function as what torch's loader takes; runs in the workers."""

    def __init__(self, function: Callable[[Request], T]) -> None:
        self.function = function

    def __getitem__(self, request: Request) -> T | InputError:
        # returned and not raised, because torch wraps what a worker raises into a traceback
        try:
            return self.function(request)
        except InputError as error:
            return error


def _as_it_is(result: T) -> T:
    return result


@dataclass(frozen=True)
class TensorImages:
    """Images in main memory that are too many for the device's.

    Attributes:
        images: uint8 or float32 [N, C, H, W].
    """

    images: Tensor
    keep: bool = False
    workers: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    @property
    def dtype(self) -> torch.dtype:
        """As the images."""
        return self.images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def fetch(self, indices: Sequence[int], key: tuple[object, ...]) -> Tensor:
        """Copy these images."""
        return self.images[torch.as_tensor(indices, dtype=torch.int64)]

    def select(self, indices: Sequence[int]) -> TensorImages:
        """Return these images only, in this order."""
        return TensorImages(self.fetch(indices, ()))


def gather(source: ImageSource) -> Tensor:
    """Read all images of a source into one tensor [N, C, H, W] on the CPU, in threads.

    Raises:
        InputError: images cannot be read; the message names them.
    """
    images = torch.empty((len(source), *source.shape), dtype=source.dtype)

    def read(first: int) -> str:
        last = min(first + CHUNK, len(source))
        try:
            images[first:last] = source.fetch(range(first, last), ())
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(processors()) as threads:
        problems = [problem for problem in threads.map(read, range(0, len(source), CHUNK)) if problem]
    if problems:
        raise InputError("\n".join(problems))
    return images


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory(device: torch.device) -> int:
    """Return the free bytes of the device's memory; a container's limit counts."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) * 1024)
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        # files that the kernel merely remembers are given back when memory is wanted
        cached = [
            int(line.split()[1]) for line in _lines("/sys/fs/cgroup/memory.stat") if line.startswith("inactive_file ")
        ]
        free.append(max(0, int(limit[0]) - int(used[0]) + sum(cached)))
    return min(free)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
