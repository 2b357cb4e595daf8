"""Fingerprints and short lists."""

from __future__ import annotations

import torch
from torch import Tensor

from archgrad.tasks.raw import digest, listed


def test_a_digest_tells_values_shapes_and_types_apart() -> None:
    images = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    changed = images.clone()
    changed[1, 2, 1, 1] += 1
    contents: list[Tensor | str | list[str]] = [
        images,
        changed,
        images.view(2, 3, 4),
        images.float(),
        images.to(torch.int8),
        "words",
        ["wor", "ds"],
    ]
    assert len({digest(content) for content in contents}) == len(contents)
    assert digest(images, "a") == digest(images.clone(), "a")
    # the layout in memory is no part of the contents
    assert digest(images.to(memory_format=torch.channels_last)) == digest(images)


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(12), most=3) == "0, 1, 2 and 9 more"
