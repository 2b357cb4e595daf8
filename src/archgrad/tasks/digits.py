"""scikit-learn's handwritten digits, which need no download: 1,797 grey images of 8x8 pixels."""

from __future__ import annotations

import numpy as np
import torch

from archgrad.errors import InputError
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.raw import RawImages, digest

__all__ = ["load_digits"]


def load_digits(argument: str | None) -> RawImages:
    """scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, 10 classes; bundled.

    Their grey values count from 0 to 16 and are scaled to 0 to 255. The test part is held out.

    Raises:
        InputError: a path was given.
    """
    if argument is not None:
        raise InputError(f"digits come with scikit-learn and take no path; got '{argument}'. Write just: digits")
    from sklearn.datasets import load_digits as bundled

    digits = bundled()
    images = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(digits.target.astype(np.int64))
    return RawImages(
        name="digits",
        train=images,
        train_labels=labels,
        test=None,
        test_labels=None,
        classes=tuple(str(name) for name in digits.target_names),
        fingerprint=digest(images, labels),
        augmentation=Augmentation(crop_padding=1),
    )
