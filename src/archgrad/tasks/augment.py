"""Augmentation of a whole batch at once, on its device: pad and crop, horizontal flip, cutout.

Drawing is apart from applying. All draws of a step are made on the CPU from one generator, so that they do not depend
on the device, on which of the three are switched on, or on how many processes share the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Augmentation", "Draws", "augment", "cutout", "draw", "horizontal_flip", "pad_crop"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images.

    Attributes:
        crop_padding: black pixels added on every side before a random crop back to the old size.
        flip: whether half of the images are mirrored.
        cutout: side in pixels of a square that is hidden (DeVries and Taylor, 2017); 0 hides nothing.
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0


@dataclass(frozen=True)
class Draws:
    """What is random about one augmented batch.

    Attributes:
        offsets: int64 [N, 2], row and column in the padded image where the crop begins.
        flips: bool [N].
        centres: int64 [N, 2], row and column of the hidden square's centre.
    """

    offsets: Tensor
    flips: Tensor
    centres: Tensor

    def share(self, rank: int, world: int) -> Draws:
        """Return the draws of every ``world``-th image from ``rank`` on."""
        return Draws(self.offsets[rank::world], self.flips[rank::world], self.centres[rank::world])


def draw(augmentation: Augmentation, count: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draw what augmenting ``count`` images of height x width pixels needs."""
    span = 2 * augmentation.crop_padding + 1
    return Draws(
        offsets=torch.randint(span, (count, 2), generator=generator),
        flips=torch.rand(count, generator=generator) < 0.5,
        centres=torch.stack([torch.randint(side, (count,), generator=generator) for side in (height, width)], dim=1),
    )


def pad_crop(images: Tensor, padding: int, offsets: Tensor) -> Tensor:
    """Pad with black and cut a window of the old size out of every image.

    Args:
        images: [N, C, H, W]; black is 0.
        padding: pixels added on every side.
        offsets: int64 [N, 2] in [0, 2 * padding], first row and column of the window in the padded image.

    Returns:
        [N, C, H, W].
    """
    count, channels, height, width = images.shape
    padded = F.pad(images, [padding] * 4)
    offsets = offsets.to(images.device)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = offsets[:, 1:] + torch.arange(width, device=images.device)
    # one gather over numbered pixels is several times faster than indexing rows and columns
    pixels = (rows[:, :, None] * padded.shape[-1] + columns[:, None, :]).flatten(1)
    cropped = padded.flatten(2).gather(2, pixels[:, None].expand(-1, channels, -1))
    return cropped.view(count, channels, height, width)


def horizontal_flip(images: Tensor, flips: Tensor) -> Tensor:
    """Mirror the images [N, C, H, W] that ``flips`` [N] marks, left to right."""
    return torch.where(flips.to(images.device)[:, None, None, None], images.flip(-1), images)


def cutout(images: Tensor, length: int, centres: Tensor, colour: Sequence[float]) -> Tensor:
    """Hide one square of every image; the square may reach over the border (DeVries and Taylor, 2017).

    Args:
        images: float [N, C, H, W].
        length: side of the square in pixels; it begins length // 2 before its centre.
        centres: int64 [N, 2], row and column.
        colour: one value a channel, put in place of the hidden pixels; the mean, which networks normalise to 0.

    Returns:
        [N, C, H, W].
    """
    height, width = images.shape[-2:]
    first = centres.to(images.device) - length // 2
    rows = torch.arange(height, device=images.device) - first[:, :1]
    columns = torch.arange(width, device=images.device) - first[:, 1:]
    hidden = ((rows >= 0) & (rows < length))[:, :, None] & ((columns >= 0) & (columns < length))[:, None, :]
    fill = torch.tensor(tuple(colour), dtype=images.dtype, device=images.device)[None, :, None, None]
    return torch.where(hidden[:, None], fill, images)


def augment(images: Tensor, augmentation: Augmentation, draws: Draws, colour: Sequence[float]) -> Tensor:
    """Apply what is switched on, in the order crop, flip, cutout.

    Args:
        images: float [N, C, H, W].
        augmentation: what is switched on.
        draws: for these N images.
        colour: mean per channel, for cutout.

    Returns:
        [N, C, H, W].
    """
    if augmentation.crop_padding:
        images = pad_crop(images, augmentation.crop_padding, draws.offsets)
    if augmentation.flip:
        images = horizontal_flip(images, draws.flips)
    if augmentation.cutout:
        images = cutout(images, augmentation.cutout, draws.centres, colour)
    return images
