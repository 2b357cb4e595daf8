"""Small image sets on disk, made anew for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a function that writes PNG images of random pixels, some a class, and returns the folder."""

    def make(
        name: str = "images",
        *,
        classes: tuple[str, ...] = ("cat", "dog"),
        each: int = 10,
        size: tuple[int, int] = (8, 6),
        mode: str = "RGB",
    ) -> Path:
        random = np.random.default_rng(len(name))
        for label in classes:
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(each):
                shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
                pixels = random.integers(0, 256, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{number:03d}.png")
        return tmp_path / name

    return make
