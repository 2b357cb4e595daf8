"""What the search and the training ask of any data, and how a SPEC or the user's own objects become it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from archgrad import registry
from archgrad.errors import ArchgradError, InputError, unknown
from archgrad.runs.settings import IN_MEMORY, IN_MEMORY_TEXT
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.batches import SAMPLE, ImageData, Store, statistics
from archgrad.tasks.in_memory import InMemory, Reader
from archgrad.tasks.options import sort_options
from archgrad.tasks.own import load_own
from archgrad.tasks.raw import Images, RawImages
from archgrad.tasks.series import RawSeries
from archgrad.tasks.series_table import is_series, load_table
from archgrad.tasks.split import Splits, generator, hold_out, split_training, stratified
from archgrad.tasks.streaming import Streaming, TensorImages, free_memory, gather
from archgrad.tasks.text import RawText
from archgrad.tasks.text_own import is_text, load_own_text
from archgrad.tasks.text_streams import TextData
from archgrad.tasks.windows import SeriesData

__all__ = ["Batch", "Data", "find_device", "open_data", "parse_spec", "spec_of"]

SHOWN = 40
"""Characters that a message shows of what was given in place of a SPEC."""

Batch = tuple[Tensor, Tensor]
"""Images float32 [N, C, H, W] and targets int64 [N], windows [N, T, F] and what comes next, or tokens and the next
tokens, int64 [N, T]; on the device."""


class Data(Protocol):
    """Examples divided into the parts ``weights``, ``choices``, ``validation``, ``train`` and ``test``.

    ``train`` is everything outside ``test``: what a derived network trains on. ``choices`` is the same set as
    ``weights`` where both are trained jointly.
    """

    task: str
    """What is learnt from these data: ``image``, ``forecasting`` or ``language``."""
    name: str
    """What was asked for: the SPEC, or a word for objects given from Python."""
    fingerprint: str
    """sha256 of the contents, in hexadecimal; file names and sizes where the examples lie in a folder."""
    input_shape: tuple[int, ...]
    """(C, H, W) of an image, (T, F) of a window, (T,) of a window of text."""
    classes: tuple[str, ...]
    """Their names; none where nothing is classified."""
    mean: tuple[float, ...]
    """Per channel, of the part ``train``."""
    std: tuple[float, ...]
    """Per channel, of the part ``train``."""

    def size(self, part: str) -> int:
        """Return the number of examples in a part."""
        ...

    def steps(self, part: str) -> int:
        """Return the number of batches in one epoch of :meth:`stream`, at least 1."""
        ...

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        """Yield shuffled, augmented batches without end; item i is a pure function of (seed, part, i).

        With several processes each gets ``[rank::world]`` of every batch.
        """
        ...

    def once(self, part: str) -> Iterator[Batch]:
        """Yield every example of a part in order, without augmentation, the same in all processes."""
        ...


def parse_spec(spec: str) -> tuple[str, str | None]:
    """Divide ``"cifar10:PATH"`` into (``"cifar10"``, ``"PATH"``) and ``"digits"`` into (``"digits"``, None).

    Raises:
        InputError: no data of that name are registered; the message shows the nearest match.
    """
    name, _, argument = spec.partition(":")
    if name not in registry.names("data"):
        if len(spec.split()) > 1 and not os.path.exists(spec):
            start = spec if len(spec) <= SHOWN else f"{spec[:SHOWN]}..."
            raise InputError(
                f"A string names data by a SPEC, such as text:PATH, and {start!r} looks like text itself. Give text "
                'as a list of documents, data=[text], or as data={"train": text, "test": text}; a file of it as '
                'data="text:PATH".'
            )
        error = unknown("data", name, registry.names("data"))
        if os.path.exists(spec):
            raise InputError(f"{error} '{spec}' is a path: for a folder of images write imagefolder:{spec}")
        raise error
    return name, argument or None


def spec_of(data: object) -> str:
    """Return a SPEC as it is, and the word that stands for one in the settings where objects were given from Python."""
    if isinstance(data, str):
        return data
    return IN_MEMORY_TEXT if is_text(data) else IN_MEMORY


def open_data(
    spec: object,
    *,
    seed: int,
    batch: int,
    choice_share: float,
    device: str | torch.device,
    rank: int = 0,
    world: int = 1,
    options: Mapping[str, Any] | None = None,
) -> Data:
    """Open data for one run.

    Args:
        spec: a SPEC (``"digits"``, ``"cifar10:PATH"``, ``"hf:NAME"``, ...), or what :func:`load_own` or, of series,
            :func:`archgrad.tasks.series_table.load_table` or, of text, :func:`archgrad.tasks.text_own.load_own_text`
            accepts.
        seed: of the splits, the order and the augmentation.
        batch: examples of one step over all processes, unless ``options`` says otherwise.
        choice_share: share of the training data that serves the choices, in [0, 1); 0 when trained jointly.
        device: ``"auto"``, or what torch calls it (``"cpu"``, ``"cuda:1"``).
        rank: number of this process.
        world: number of processes.
        options: what was set under ``data``, see :data:`archgrad.tasks.options.OPTIONS`.

    Raises:
        InputError: the words are wrong, or the data are missing or unusable.
    """
    place = find_device(device)
    raw, shared = _load(spec, dict(options or {}))
    if not isinstance(raw, RawImages):
        if foreign := sorted(shared.keys() - {"batch"}):
            what = "series" if isinstance(raw, RawSeries) else "text"
            raise InputError(f"data.{foreign[0]} is for images; {raw.name} holds {what}.")
        name, size = spec if isinstance(spec, str) else raw.name, shared.get("batch", batch)
        kind: Any = SeriesData if isinstance(raw, RawSeries) else TextData
        opened: Data = kind(
            raw,
            name=name,
            seed=seed,
            batch=size,
            choice_share=choice_share,
            device=place,
            rank=rank,
            world=world,
        )
        return opened
    raw.check()
    augmentation = _augmentation(raw, shared)
    train, train_labels, test, test_labels = _test_apart(raw)
    train, train_labels = _limit(train, train_labels, shared.get("limit"), (seed, "limit"))
    test, test_labels = _limit(test, test_labels, shared.get("limit_test"), (seed, "limit_test"))
    parts = split_training(train_labels, seed=seed, choice_share=choice_share)
    parts["test"] = torch.arange(len(test_labels))
    splits = Splits(parts, seed, shared.get("batch", batch), rank, world)
    train_reader, test_reader = _readers(train, test, place, shared.get("workers"))
    mean, std = statistics(train_reader, None if isinstance(train, Tensor) else SAMPLE)
    return ImageData(
        name=spec if isinstance(spec, str) else raw.name,
        fingerprint=raw.fingerprint,
        classes=raw.classes,
        splits=splits,
        train=Store(train_reader, train_labels.to(place)),
        test=Store(test_reader, test_labels.to(place)),
        augmentation=augmentation,
        mean=mean,
        std=std,
    )


def find_device(device: str | torch.device) -> torch.device:
    """Return the device of that name, after checking that it is there; ``"auto"`` takes a GPU if there is one.

    Raises:
        InputError: there is no such device.
    """
    if device == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        device = "cuda" if torch.cuda.is_available() else mps
    there = ["auto", "cpu", *(["mps"] if torch.backends.mps.is_available() else [])]
    there += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    try:
        # the device of a tensor has its number, so that it can be compared with those of others
        return torch.empty(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"There is no device '{device}' here. Available: {', '.join(there)}.") from error


def _load(spec: object, options: dict[str, Any]) -> tuple[RawImages | RawSeries | RawText, dict[str, Any]]:
    if not isinstance(spec, str) and is_text(spec):
        shared, specific = sort_options(options, load_own_text, "own text")
        return load_own_text(spec, **specific), shared
    if is_series(spec):
        shared, specific = sort_options(options, load_table, "own series")
        return load_table(spec, **specific), shared
    if not isinstance(spec, str):
        shared, _ = sort_options(options, None, "own data")
        return load_own(spec), shared
    name, argument = parse_spec(spec)
    loader: Callable[..., RawImages | RawSeries | RawText] = registry.get("data", name)
    shared, specific = sort_options(options, loader, name)
    try:
        return loader(argument, **specific), shared
    except ArchgradError:
        raise
    except OSError as error:
        raise InputError(
            f"'{spec}' cannot be read: {error.strerror or error} ({error.filename or argument})."
        ) from error


def _augmentation(raw: RawImages, shared: Mapping[str, Any]) -> Augmentation:
    """Return the data's own augmentation with what was set put in its place."""
    side = min(raw.train.shape[-2:])
    for key in ("crop_padding", "cutout"):
        if shared.get(key, 0) >= side:
            raise InputError(f"data.{key}={shared[key]} hides whole images of {side} pixels; take at most {side // 2}.")
    default = raw.augmentation
    return Augmentation(
        crop_padding=shared.get("crop_padding", default.crop_padding),
        flip=shared.get("flip", default.flip),
        cutout=shared.get("cutout", default.cutout),
    )


def _test_apart(raw: RawImages) -> tuple[Images, Tensor, Images, Tensor]:
    """Return the training and the test images with their labels, the latter held out if need be."""
    if raw.test is not None and raw.test_labels is not None:
        return raw.train, raw.train_labels, raw.test, raw.test_labels
    train, test = hold_out(raw.train_labels)
    return _select(raw.train, train), raw.train_labels[train], _select(raw.train, test), raw.train_labels[test]


def _limit(images: Images, labels: Tensor, limit: int | None, key: tuple[object, ...]) -> tuple[Images, Tensor]:
    if limit is None or limit >= len(labels):
        return images, labels
    _, taken = stratified(labels, limit, generator(*key))
    return _select(images, taken), labels[taken]


def _select(images: Images, indices: Tensor) -> Images:
    if isinstance(images, Tensor):
        return images[indices.to(images.device)]
    return images.select(indices.tolist())


def _readers(train: Images, test: Images, device: torch.device, workers: int | None) -> tuple[Reader, Reader]:
    """Keep images on the device if decoded they take at most half of what is free, else stream them."""
    wanted = [images for images in (train, test) if not _on(images, device) and _may_be_kept(images)]
    fits = sum(_bytes(images) for images in wanted) <= free_memory(device) / 2

    def reader(images: Images) -> Reader:
        if isinstance(images, Tensor):
            if fits or _on(images, device):
                return InMemory(images, device)
            images = TensorImages(images)
        if images.keep and fits:
            return InMemory(gather(images), device)
        return Streaming(images, device, images.workers if workers is None else workers)

    return reader(train), reader(test)


def _on(images: Images, device: torch.device) -> bool:
    return isinstance(images, Tensor) and images.device == device


def _may_be_kept(images: Images) -> bool:
    return isinstance(images, Tensor) or images.keep


def _bytes(images: Images) -> int:
    channels, height, width = images.shape[-3:]
    return len(images) * channels * height * width * images.dtype.itemsize
