"""Images to predict on, from files or arrays: read as training read them, and refused where they do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from archgrad.errors import InputError, several
from archgrad.runs.settings import IN_MEMORY
from archgrad.tasks.batches import as_float
from archgrad.tasks.decoding import UNREADABLE
from archgrad.tasks.imagefolder import SUFFIXES, ImageFiles

__all__ = ["read_inputs"]

BATCH = 64
NAMED = 10
"""How many files a message names at most."""

MODES = {1: "L", 3: "RGB"}
MEANING = {"L": "grey", "RGB": "colour"}


def read_inputs(inputs: object, about: Mapping[str, Any]) -> tuple[Sequence[str | int], Iterator[Tensor]]:
    """Return a name for every image, and the images in batches.

    Args:
        inputs: an image file, a folder, a .npy file, a tensor or an array, as :func:`archgrad.predict` takes them.
        about: what was saved with the network.

    Returns:
        File names, or numbers for images in an array; and float tensors [n, C, H, W] on the CPU.

    Raises:
        InputError: they are missing, damaged, or not what the network takes; all problems are listed.
    """
    if isinstance(inputs, (str, Path)):
        path = Path(inputs).expanduser()
        if path.suffix.lower() != ".npy" or path.is_dir():
            return _files(path, about)
        images = _fitting(_load(path), about, str(path))
        return [f"{path}[{index}]" for index in range(len(images))], _batches(images)
    images = _fitting(inputs, about, "The array")
    return range(len(images)), _batches(images)


def _batches(images: Tensor) -> Iterator[Tensor]:
    return (as_float(batch) for batch in images.split(BATCH))


def _load(path: Path) -> object:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is no array of numbers in numpy's format"
        raise InputError(f"{path} cannot be read: {reason}.") from error


def _fitting(given: object, about: Mapping[str, Any], name: str) -> Tensor:
    """Return an array as [N, C, H, W], uint8 or float32, after checking its form and values."""
    if not isinstance(given, (Tensor, np.ndarray)):
        raise InputError(
            f"Images cannot be made of a {type(given).__name__}. Give an image file, a folder of images, a .npy file, "
            "a tensor or an array."
        )
    if isinstance(given, np.ndarray) and (given.dtype.kind not in "uif" or given.dtype.itemsize > 8):
        raise InputError(f"{name} holds {given.dtype}; images are uint8 from 0 to 255 or float from 0 to 1.")
    images = given.detach().cpu() if isinstance(given, Tensor) else _native(given)
    channels, height, width = about["input_shape"]
    shape = tuple(images.shape)
    if shape == (channels, height, width):
        images = images[None]
    elif channels == 1 and len(shape) == 3 and shape[1:] == (height, width):
        images = images[:, None]
    elif len(shape) != 4 or shape[1:] != (channels, height, width):
        hint = " Channels come first: permute(0, 3, 1, 2)." if shape[-3:] == (height, width, channels) else ""
        raise InputError(
            f"{name} has the shape {shape}; the network takes (N, {channels}, {height}, {width}), or one image without "
            f"the N.{hint}"
        )
    if not len(images):
        raise InputError(f"{name} holds no image.")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise InputError(f"{name} holds {images.dtype}; images are uint8 from 0 to 255 or float from 0 to 1.")
    images = images.float()
    if not bool(images.isfinite().all()):
        raise InputError(f"{name} holds values that are not finite.")
    low, high = float(images.min()), float(images.max())
    # what the user's own float images looked like is not known; all other data are in [0, 1]
    if about.get("data") != IN_MEMORY and not (low >= 0 and high <= 1):
        raise InputError(
            f"{name} holds floats from {low:g} to {high:g}; the network takes floats from 0 to 1, or uint8 from 0 to "
            "255."
        )
    return images


def _native(array: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    """Return an array as a tensor, also one with the other byte order or a negative stride."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def _files(path: Path, about: Mapping[str, Any]) -> tuple[list[str], Iterator[Tensor]]:
    """Return the names of image files and their contents, decoded as they were for training."""
    paths = [path]
    if path.is_dir():
        paths = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not paths:
            raise InputError(f"There is no image in the folder {path} ({', '.join(sorted(SUFFIXES))}).")
    channels, height, width = about["input_shape"]
    if channels not in MODES:
        raise InputError(f"The network takes {channels} channels, and image files have 1 or 3; give it an array.")
    options, mode = about.get("data_options") or {}, MODES[channels]
    problems = [
        problem for problem in (_problem(file, (width, height), mode, options) for file in paths) if problem is not None
    ]
    if len(problems) > NAMED:
        problems[NAMED:] = [f"and {len(problems) - NAMED} more"]
    if problems:
        raise several("The network cannot take these images", problems)
    files = ImageFiles(tuple(paths), options.get("size"), mode, (channels, height, width))
    numbers = torch.arange(len(paths)).split(BATCH)
    return [str(file) for file in paths], (as_float(files.fetch(chunk.tolist(), ())) for chunk in numbers)


def _problem(path: Path, size: tuple[int, int], mode: str, options: Mapping[str, Any]) -> str | None:
    """Return why a file is no image for the network, or None. What training converted is converted here too."""
    try:
        with Image.open(path) as image:
            found, has = image.size, image.mode
    except FileNotFoundError:
        return f"{path} does not exist"
    except UNREADABLE as error:
        return f"{path} is no image, or damaged ({getattr(error, 'strerror', None) or error})"
    deep = has.startswith(("I", "F"))
    other_mode = deep or (has != mode and not (mode == "L" and has == "1") and not options.get("mode"))
    other_size = found != size and not options.get("size")
    if not (other_mode or other_size):
        return None
    return (
        f"{path} is {found[0]}x{found[1]} pixels of mode {has}; the network takes {size[0]}x{size[1]} pixels of mode "
        f"{mode} ({MEANING[mode]})"
    )
