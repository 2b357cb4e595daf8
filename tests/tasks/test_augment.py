"""Augmentation against plain loops over single images and pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from archgrad.tasks.augment import Augmentation, Draws, augment, cutout, draw, horizontal_flip, pad_crop
from archgrad.tasks.split import generator

COLOUR = (0.2, 0.4, 0.6)


def plain(image: Tensor, kind: Augmentation, offset: list[int], flip: bool, centre: list[int]) -> Tensor:
    """Augment one image [C, H, W] pixel by pixel."""
    channels, height, width = image.shape
    result = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            column = width - 1 - x if kind.flip and flip else x
            row, column = y + offset[0] - kind.crop_padding, column + offset[1] - kind.crop_padding
            inside = 0 <= row < height and 0 <= column < width
            top, left = centre[0] - kind.cutout // 2, centre[1] - kind.cutout // 2
            hidden = top <= y < top + kind.cutout and left <= x < left + kind.cutout
            for channel in range(channels):
                if hidden:
                    result[channel, y, x] = COLOUR[channel]
                elif inside:
                    result[channel, y, x] = image[channel, row, column]
    return result


@pytest.mark.parametrize(
    "kind",
    [
        Augmentation(),
        Augmentation(crop_padding=2),
        Augmentation(flip=True),
        Augmentation(cutout=4),
        Augmentation(cutout=3),
        Augmentation(crop_padding=3, flip=True, cutout=2),
    ],
)
def test_a_batch_equals_single_images_augmented_pixel_by_pixel(kind: Augmentation) -> None:
    images = torch.rand(12, 3, 6, 5)
    draws = draw(kind, 12, 6, 5, generator(1))
    expected = [
        plain(image, kind, offset, flip, centre)
        for image, offset, flip, centre in zip(
            images, draws.offsets.tolist(), draws.flips.tolist(), draws.centres.tolist(), strict=True
        )
    ]
    before = images.clone()
    assert torch.equal(augment(images, kind, draws, COLOUR), torch.stack(expected))
    assert torch.equal(images, before)


def test_draws_cover_every_offset_and_pixel_evenly() -> None:
    draws = draw(Augmentation(crop_padding=1), 9000, 4, 3, generator(0))
    offsets = torch.bincount(draws.offsets[:, 0] * 3 + draws.offsets[:, 1], minlength=9)
    centres = torch.bincount(draws.centres[:, 0] * 3 + draws.centres[:, 1], minlength=12)
    assert len(offsets) == 9
    assert len(centres) == 12
    assert offsets.min() > 850 and offsets.max() < 1150
    assert centres.min() > 640 and centres.max() < 860
    assert abs(draws.flips.float().mean() - 0.5) < 0.02


def test_draws_of_one_kind_do_not_depend_on_the_others_being_switched_on() -> None:
    some = draw(Augmentation(crop_padding=2), 8, 6, 6, generator(3))
    all_of_them = draw(Augmentation(crop_padding=2, flip=True, cutout=3), 8, 6, 6, generator(3))
    assert torch.equal(some.offsets, all_of_them.offsets)
    assert torch.equal(some.flips, all_of_them.flips)


def test_equal_generators_draw_equally() -> None:
    one, same, other = (draw(Augmentation(crop_padding=4), 32, 8, 8, generator(key)) for key in (0, 0, 1))
    assert torch.equal(one.offsets, same.offsets)
    assert torch.equal(one.centres, same.centres)
    assert not torch.equal(one.offsets, other.offsets)


def test_sharing_draws_deals_them_out() -> None:
    draws = Draws(torch.arange(10).view(5, 2), torch.tensor([True, False, True, False, True]), torch.zeros(5, 2))
    assert draws.share(1, 2).offsets.tolist() == [[2, 3], [6, 7]]
    assert draws.share(0, 2).flips.tolist() == [True, True, True]


def test_single_steps_keep_what_they_should() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(pad_crop(images, 2, torch.full((2, 2), 2)), images)
    assert torch.equal(horizontal_flip(images, torch.tensor([False, True]))[1], images[1].flip(-1))
    hidden = cutout(images, 2, torch.tensor([[0, 0], [2, 2]]), (0.5,))
    assert (hidden[0] == 0.5).sum() == 1
    assert (hidden[1] == 0.5).sum() == 4
