"""CIFAR-10 (Krizhevsky, 2009) from a folder: the published python or binary batches, or WebP sheets.

The python batches are pickles, read as :mod:`archgrad.tasks.plain_pickle` does: a file from the internet can hold data
but never run anything.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from archgrad.errors import InputError, several
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.plain_pickle import NUMPY, PlainUnpickler
from archgrad.tasks.raw import RawImages, digest, listed

__all__ = ["CLASSES", "load_cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
PIXELS = 3 * SIDE * SIDE
PYTHON = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
BINARY = [f"{name}.bin" for name in PYTHON]

Rows = tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]
"""Pixels uint8 [N, 3072], all of red, then green, then blue, each row by row; labels int64 [N]."""


def load_cifar10(argument: str | None, *, size: int | None = None) -> RawImages:
    """CIFAR-10: 50,000 + 10,000 colour images of 32x32 pixels, 10 classes; cifar10:PATH, the unpacked folder.

    Args:
        argument: folder of the python batches, the binary batches (or the folder above ``cifar-10-batches-py`` or
            ``-bin``), or of WebP sheets ``train_00.webp``, ..., ``test_00.webp``, ... with ``labels.npz``.
        size: resize every image to this side; None leaves the 32 pixels. Random crops are padded in proportion.

    Raises:
        InputError: the folder or some of its files are missing, damaged or something else.
    """
    if argument is None:
        raise InputError("cifar10 needs a folder: write cifar10:PATH, where PATH is the unpacked download.")
    folder = Path(argument).expanduser()
    if folder.is_file():
        raise InputError(f"'{folder}' is a file; unpack it and give the folder: cifar10:PATH")
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}'. {_EXPECTED}")
    reader, place = _form(folder)
    (train, train_labels), (test, test_labels) = reader(place)
    parts = [torch.from_numpy(part) for part in (train, train_labels, test, test_labels)]
    for labels in parts[1::2]:
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(CLASSES):
            raise InputError(f"'{place}' holds labels outside 0 to 9: these are not CIFAR-10's files.")
    return RawImages(
        name="cifar10",
        train=_images(parts[0], size),
        train_labels=parts[1],
        test=_images(parts[2], size),
        test_labels=parts[3],
        classes=CLASSES,
        fingerprint=digest(*parts, *([] if size in (None, SIDE) else [f"size {size}"])),
        augmentation=Augmentation(crop_padding=round(4 * (size or SIDE) / SIDE), flip=True),
    )


_EXPECTED = (
    f"Expected a folder with the python batches ({PYTHON[0]} to _5, {PYTHON[-1]}), the binary batches ({BINARY[0]} to "
    f"_5, {BINARY[-1]}) or WebP sheets (train_00.webp, test_00.webp, labels.npz)."
)


def _images(rows: Tensor, size: int | None) -> Tensor:
    """Return the images uint8 [N, 3, size, size]; smaller ones average over all pixels that they stand for."""
    images = rows.view(-1, 3, SIDE, SIDE)
    if size is None or size == SIDE:
        return images
    resized = [
        F.interpolate(piece.float(), size=(size, size), mode="bilinear", antialias=True).round_().clamp_(0, 255).byte()
        for piece in images.split(5000)
    ]
    return torch.cat(resized)


def _form(folder: Path) -> tuple[Callable[[Path], tuple[Rows, Rows]], Path]:
    """Return the reader of the form that the folder holds whole, and the folder that holds it.

    Raises:
        InputError: no form is whole; the message lists what the nearest to whole one lacks.
    """
    forms: list[tuple[float, list[str], Callable[[Path], tuple[Rows, Rows]], Path]] = []
    readers: list[tuple[list[str], Callable[[Path], tuple[Rows, Rows]]]]
    for place in (folder, folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin"):
        sheets = _sheets(place, "train") + _sheets(place, "test") + ["labels.npz"]
        readers = [(PYTHON, _python), (BINARY, _binary), (sheets, _webp)]
        for names, reader in readers:
            lacking = [name for name in names if not (place / name).is_file()]
            forms.append((len(lacking) / len(names), lacking, reader, place))
    share, lacking, reader, place = min(forms, key=lambda form: form[0])
    if share == 1:
        raise InputError(f"'{folder}' holds no form of CIFAR-10. {_EXPECTED}")
    if lacking:
        raise InputError(f"'{place}' lacks {listed(lacking)}. Unpack the download again.")
    return reader, place


def _sheets(folder: Path, part: str) -> list[str]:
    """Return the names of a part's WebP sheets up to the highest number that is there, at least the first."""
    numbers = [int(found[1]) for path in folder.glob(f"{part}_*.webp") if (found := re.match(r".*_(\d+)$", path.stem))]
    return [f"{part}_{number:02d}.webp" for number in range(max(numbers, default=0) + 1)]


def _python(folder: Path) -> tuple[Rows, Rows]:
    """Read the published python batches."""
    batches = [_python_batch(folder / name) for name in PYTHON]
    return _joined(batches[:-1]), batches[-1]


def _binary(folder: Path) -> tuple[Rows, Rows]:
    """Read the published binary batches: a byte of label and 3072 bytes of pixels an image."""
    batches = []
    for name in BINARY:
        rows = np.fromfile(folder / name, dtype=np.uint8)
        if not len(rows) or len(rows) % (PIXELS + 1):
            raise InputError(
                f"'{folder / name}' is truncated or damaged: {len(rows)} bytes are no whole number of images of "
                f"{PIXELS + 1} bytes. Unpack the download again."
            )
        rows = rows.reshape(-1, PIXELS + 1)
        batches.append((np.ascontiguousarray(rows[:, 1:]), rows[:, 0].astype(np.int64)))
    return _joined(batches[:-1]), batches[-1]


def _joined(batches: list[Rows]) -> Rows:
    return np.concatenate([pixels for pixels, _ in batches]), np.concatenate([labels for _, labels in batches])


def _webp(folder: Path) -> tuple[Rows, Rows]:
    """Read WebP sheets: four columns of images, read column by column; labels ``y_train`` and ``y_test``."""
    try:
        # opened here, because numpy leaves a file open that turns out to be no archive
        with (folder / "labels.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
            labels = {part: np.asarray(archive[f"y_{part}"]).astype(np.int64) for part in ("train", "test")}
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"'{folder / 'labels.npz'}' cannot be read: expected a numpy archive with y_train and y_test ({error})."
        ) from error
    problems = []
    parts = []
    for part in ("train", "test"):
        # decoding holds no lock, so threads share the work
        with ThreadPoolExecutor() as threads:
            sheets = list(threads.map(_sheet, [folder / name for name in _sheets(folder, part)]))
        pixels = np.concatenate(sheets)
        if len(pixels) != len(labels[part]):
            problems.append(
                f"the {part} sheets hold {len(pixels)} images but labels.npz has {len(labels[part])} labels; "
                "a sheet is missing or truncated"
            )
        parts.append((pixels, labels[part]))
    if problems:
        raise several(f"'{folder}' does not fit together", problems)
    return parts[0], parts[1]


def _sheet(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            sheet = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"'{path}' cannot be decoded; it is truncated or no WebP image ({error}).") from error
    height, width, _ = sheet.shape
    if width != 4 * 32 or height % 32:
        raise InputError(f"'{path}' is {width}x{height} pixels; expected four columns of images of 32x32 pixels.")
    return sheet.reshape(height // 32, 32, 4, 32, 3).transpose(2, 0, 4, 1, 3).reshape(-1, PIXELS)


def _python_batch(path: Path) -> Rows:
    """Read one published python batch: a pickled dictionary with ``data`` uint8 [N, 3072] and ``labels``.

    Raises:
        InputError: the file is truncated, holds something else, or wants to run something.
    """
    with path.open("rb") as file:
        try:
            content = PlainUnpickler(file, NUMPY, "a CIFAR-10 batch", encoding="bytes").load()
            batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
            array, labels = batch["data"], np.array(batch["labels"], dtype=np.int64)
            if array.kind.code not in (b"u1", "u1"):
                raise ValueError(f"its pixels are of type {array.kind.code}, not bytes")
            pixels = np.frombuffer(array.content, dtype=np.uint8).reshape(-1, PIXELS)
            if not len(labels) == len(pixels) == array.shape[0]:
                raise ValueError(f"{len(pixels)} images, {len(labels)} labels")
        # a damaged pickle can fail in any way at all
        except Exception as error:
            raise InputError(
                f"'{path}' is no python batch of CIFAR-10, or it is truncated ({error}). Unpack the download again."
            ) from error
    return pixels.copy(), labels
