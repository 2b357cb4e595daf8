"""The bundled digits."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits as bundled

from archgrad.errors import InputError
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.digits import load_digits


def test_digits_are_the_bundled_ones_scaled_to_bytes() -> None:
    raw = load_digits(None)
    original = bundled()
    assert isinstance(raw.train, torch.Tensor)
    assert raw.train.shape == (1797, 1, 8, 8)
    assert raw.train.dtype == torch.uint8
    assert int(raw.train.max()) == 255
    assert torch.allclose(raw.train[:, 0] / 255 * 16, torch.tensor(original.images).float(), atol=16 / 255 / 2 + 1e-5)
    assert raw.train_labels.tolist() == original.target.tolist()
    assert raw.classes == tuple("0123456789")
    assert raw.test is None
    assert raw.augmentation == Augmentation(crop_padding=1, flip=False, cutout=0)
    assert raw.fingerprint == load_digits(None).fingerprint


def test_a_path_is_refused() -> None:
    with pytest.raises(InputError, match="no path; got '/somewhere'"):
        load_digits("/somewhere")
