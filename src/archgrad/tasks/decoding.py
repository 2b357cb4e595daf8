"""Encoded images (PNG, JPEG, ...): what the headers have in common, and decoding to uint8 at one size and mode."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from archgrad.errors import InputError, several
from archgrad.tasks.raw import listed

__all__ = ["UNREADABLE", "Header", "agreed", "decoded", "header_of"]

# everything that Pillow's decoders are known to raise on damaged files
UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error),
    Image.DecompressionBombError,
)

Header = tuple[int, int, str]
"""(width, height, mode) of an encoded image."""


def header_of(file: Path | IO[bytes]) -> Header | None:
    """Return (width, height, mode) without decoding; None where the file is no image."""
    try:
        with Image.open(file) as image:
            return image.width, image.height, image.mode
    except UNREADABLE:
        return None


def agreed(
    names: Sequence[object], headers: Sequence[Header | None], size: int | None, mode: str | None, where: str
) -> tuple[str, tuple[int, int, int]]:
    """Settle what images have in common.

    Args:
        names: of the images, for messages.
        headers: of the same images; None of what is none.
        size: side of the square that they will be resized and cut to; None leaves them as they are.
        mode: ``"RGB"`` or ``"L"`` (grey), into which all will be converted; None if they must agree.
        where: where the images are, for messages.

    Returns:
        The mode, and (channels, height, width) of every decoded image.

    Raises:
        InputError: images that are none, or whose size or mode differs from the others'; all are named.
    """
    broken = [name for name, header in zip(names, headers, strict=True) if header is None]
    if broken:
        raise InputError(f"Not an image, or damaged: {listed(broken)}. Mend or remove it.")
    found = [header for header in headers if header is not None]
    problems = []
    sizes = Counter((width, height) for width, height, _ in found)
    (width, height), _ = sizes.most_common(1)[0]
    if size is None and len(sizes) > 1:
        odd = [
            f"{name} ({header[0]}x{header[1]})"
            for name, header in zip(names, found, strict=True)
            if header[:2] != (width, height)
        ]
        problems.append(
            f"most images are {width}x{height} pixels, but not {listed(odd)}. "
            f"--set data.size={min(width, height)} resizes every image and cuts its centre square out"
        )
    modes = Counter(header[2] for header in found)
    common = mode or modes.most_common(1)[0][0]
    if mode is None and (len(modes) > 1 or common not in ("RGB", "L")):
        wanted = common if common in ("RGB", "L") else "RGB"
        odd = [f"{name} ({header[2]})" for name, header in zip(names, found, strict=True) if header[2] != wanted]
        problems.append(
            f"images must all be RGB (colour) or all L (grey), but of mode {wanted} is not {listed(odd)}. "
            "--set data.mode=RGB (or L) converts every image"
        )
    deep = [name for name, header in zip(names, found, strict=True) if header[2].startswith(("I", "F"))]
    if deep:
        problems.append(f"more than 8 bits a channel cannot be read; convert to 8 bits: {listed(deep)}")
    if problems:
        raise several(f"The images in '{where}' do not fit together", problems)
    sides = (size, size) if size else (height, width)
    return common, (3 if common == "RGB" else 1, *sides)


def decoded(file: Path | IO[bytes], size: int | None, mode: str, sides: tuple[int, int]) -> Tensor:
    """Decode one image to uint8 [C, H, W].

    Args:
        file: the encoded image.
        size: side of the square that it is resized and cut to; None leaves it as it is.
        mode: ``"RGB"`` or ``"L"``.
        sides: (height, width) that it must have then.

    Raises:
        ValueError: it has not, or, as all of :data:`UNREADABLE`, it cannot be decoded.
    """
    with Image.open(file) as opened:
        image = opened.convert(mode)
    if size:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image))
    if pixels.shape[:2] != sides:
        raise ValueError(f"its size changed to {image.width}x{image.height} since the run began")
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
