"""CIFAR-10 in its three forms, and files that are not what they say."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from archgrad.errors import InputError
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.cifar10 import BINARY, CLASSES, PYTHON, load_cifar10

RANDOM = np.random.default_rng(7)
PIXELS = RANDOM.integers(0, 256, (48, 3, 32, 32), dtype=np.uint8)
LABELS = RANDOM.integers(0, 10, 48).tolist()
# five training batches and the test batch, eight images each
BATCHES = [(PIXELS[k : k + 8].reshape(8, 3072), LABELS[k : k + 8]) for k in range(0, 48, 8)]


def published_pickle(pixels: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """Write a batch as Python 2's cPickle did for the published files (protocol 2, numpy 1 names, byte strings)."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    count, width = pixels.shape
    kind = b"cnumpy\ndtype\n" + short(b"u1") + number(0) + number(1) + b"\x87R"
    kind += b"(" + number(3) + short(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    raw = pixels.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + short(b"b") + b"\x87R"
    array += b"(" + number(1) + number(count) + number(width) + b"\x86" + kind + b"\x89"
    array += b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    words = b"](" + b"".join(short(b"x_%06d.png" % k) for k in range(count)) + b"e"
    items = [
        (b"batch_label", short(b"training batch 1 of 5")),
        (b"labels", b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"),
        (b"data", array),
        (b"filenames", words),
    ]
    return b"\x80\x02}(" + b"".join(short(key) + value for key, value in items) + b"u."


def write_python(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, (pixels, labels) in zip(PYTHON, BATCHES, strict=True):
        (folder / name).write_bytes(published_pickle(pixels, labels))
    return folder


def write_binary(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, (pixels, labels) in zip(BINARY, BATCHES, strict=True):
        rows = [bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True)]
        (folder / name).write_bytes(b"".join(rows))
    return folder


def write_sheets(folder: Path) -> Path:
    """Write sheets of eight images: four columns of two, filled column by column."""
    folder.mkdir(exist_ok=True)
    for number in range(6):
        sheet = np.zeros((64, 128, 3), dtype=np.uint8)
        for place in range(8):
            column, row = divmod(place, 2)
            image = PIXELS[8 * number + place].transpose(1, 2, 0)
            sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = image
        name = f"train_{number:02d}.webp" if number < 5 else "test_00.webp"
        Image.fromarray(sheet).save(folder / name, lossless=True)
    np.savez(folder / "labels.npz", y_train=np.array(LABELS[:40], np.uint8), y_test=np.array(LABELS[40:], np.uint8))
    return folder


WRITERS = [write_python, write_binary, write_sheets]


@pytest.mark.parametrize("write", WRITERS)
def test_every_form_gives_the_same_images(write: Any, tmp_path: Path) -> None:
    raw = load_cifar10(str(write(tmp_path / "form")))
    assert isinstance(raw.train, torch.Tensor) and isinstance(raw.test, torch.Tensor)
    assert raw.train.dtype == torch.uint8
    assert np.array_equal(raw.train.numpy(), PIXELS[:40])
    assert np.array_equal(raw.test.numpy(), PIXELS[40:])
    assert raw.train_labels.tolist() == LABELS[:40]
    assert raw.test_labels is not None and raw.test_labels.tolist() == LABELS[40:]
    assert raw.classes == CLASSES
    assert raw.augmentation == Augmentation(crop_padding=4, flip=True)


def test_the_fingerprint_is_that_of_the_contents(tmp_path: Path) -> None:
    prints = {load_cifar10(str(write(tmp_path / write.__name__))).fingerprint for write in WRITERS}
    assert len(prints) == 1
    changed = write_binary(tmp_path / "changed")
    content = bytearray((changed / "test_batch.bin").read_bytes())
    content[5] ^= 1
    (changed / "test_batch.bin").write_bytes(bytes(content))
    assert load_cifar10(str(changed)).fingerprint not in prints


@pytest.mark.parametrize("name", ["cifar-10-batches-py", "cifar-10-batches-bin"])
def test_the_folder_above_is_accepted(name: str, tmp_path: Path) -> None:
    (write_python if name.endswith("py") else write_binary)(tmp_path / name)
    assert len(load_cifar10(str(tmp_path)).train) == 40


def test_batches_pickled_anew_by_python_3_are_read(tmp_path: Path) -> None:
    folder = write_python(tmp_path / "form")
    pixels, labels = BATCHES[0]
    for protocol in (2, 3, 4):
        (folder / "data_batch_1").write_bytes(pickle.dumps({"data": pixels, "labels": labels}, protocol=protocol))
        raw = load_cifar10(str(folder))
        assert isinstance(raw.train, torch.Tensor)
        assert np.array_equal(raw.train.numpy()[:8], PIXELS[:8])


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_wants_to_run_something_is_refused(protocol: int, tmp_path: Path) -> None:
    folder = write_python(tmp_path / "form")
    harm = {"data": Malicious(tmp_path / "harmed"), "labels": []}
    (folder / "data_batch_3").write_bytes(pickle.dumps(harm, protocol=protocol))
    with pytest.raises(InputError, match="data_batch_3.*it asks for") as caught:
        load_cifar10(str(folder))
    assert not (tmp_path / "harmed").exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"labels": [1]}),
        pickle.dumps({"data": np.zeros((1, 3072)), "labels": [1]}, protocol=4),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, protocol=4),
        published_pickle(*BATCHES[0])[:-5000],
    ],
)
def test_a_damaged_pickle_is_named(content: bytes, tmp_path: Path) -> None:
    folder = write_python(tmp_path / "form")
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(InputError, match="test_batch' is no python batch of CIFAR-10, or it is truncated"):
        load_cifar10(str(folder))


def test_what_a_folder_lacks_is_listed(tmp_path: Path) -> None:
    folder = write_binary(tmp_path / "form")
    (folder / "data_batch_2.bin").unlink()
    (folder / "test_batch.bin").unlink()
    with pytest.raises(InputError, match=r"lacks data_batch_2.bin, test_batch.bin\."):
        load_cifar10(str(folder))
    sheets = write_sheets(tmp_path / "sheets")
    (sheets / "train_03.webp").unlink()
    with pytest.raises(InputError, match=r"lacks train_03.webp\."):
        load_cifar10(str(sheets))


def test_a_truncated_binary_batch_is_named(tmp_path: Path) -> None:
    folder = write_binary(tmp_path / "form")
    content = (folder / "data_batch_4.bin").read_bytes()
    (folder / "data_batch_4.bin").write_bytes(content[:-1])
    with pytest.raises(InputError, match="data_batch_4.bin' is truncated"):
        load_cifar10(str(folder))


def test_labels_of_something_else_are_refused(tmp_path: Path) -> None:
    folder = write_binary(tmp_path / "form")
    (folder / "test_batch.bin").write_bytes(bytes([11]) + bytes(3072))
    with pytest.raises(InputError, match="labels outside 0 to 9"):
        load_cifar10(str(folder))


def test_sheets_that_do_not_fit_are_explained(tmp_path: Path) -> None:
    folder = write_sheets(tmp_path / "form")
    last = (folder / "train_04.webp").read_bytes()
    (folder / "train_04.webp").unlink()
    with pytest.raises(InputError, match="train sheets hold 32 images but labels.npz has 40"):
        load_cifar10(str(folder))
    (folder / "train_04.webp").write_bytes(last[: len(last) // 2])
    with pytest.raises(InputError, match="train_04.webp' cannot be decoded"):
        load_cifar10(str(folder))
    Image.new("RGB", (100, 64)).save(folder / "train_04.webp")
    with pytest.raises(InputError, match="100x64 pixels"):
        load_cifar10(str(folder))
    (folder / "train_04.webp").write_bytes(last)
    for content in (b"", b"PK\x03\x04 no archive", pickle.dumps({"y_train": [1]})):
        (folder / "labels.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"labels.npz' cannot be read"):
            load_cifar10(str(folder))


def test_a_wrong_path_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cifar10:PATH"):
        load_cifar10(None)
    with pytest.raises(InputError, match="There is no folder .*data_batch_1.*WebP"):
        load_cifar10(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="holds no form of CIFAR-10"):
        load_cifar10(str(tmp_path))
    (tmp_path / "cifar.tar.gz").touch()
    with pytest.raises(InputError, match="unpack it"):
        load_cifar10(str(tmp_path / "cifar.tar.gz"))


def test_smaller_images_average_the_pixels_they_stand_for(tmp_path: Path) -> None:
    whole, half = load_cifar10(str(write_binary(tmp_path / "b"))), load_cifar10(str(tmp_path / "b"), size=16)
    assert isinstance(whole.train, torch.Tensor) and isinstance(half.train, torch.Tensor)
    assert half.train.shape == (40, 3, 16, 16) and half.train.dtype == torch.uint8
    # two pixels become one through a triangle of weights 1, 3, 3, 1 over 8 on both axes, cut off at the border
    triangle = np.zeros((16, 32))
    for row in range(16):
        for pixel, weight in zip(range(2 * row - 1, 2 * row + 3), (1, 3, 3, 1), strict=True):
            if 0 <= pixel < 32:
                triangle[row, pixel] = weight
    triangle /= triangle.sum(1, keepdims=True)
    by_hand = triangle @ whole.train.double().numpy() @ triangle.T
    assert np.abs(half.train.numpy() - by_hand).max() <= 0.5 + 1e-4
    assert half.augmentation == Augmentation(crop_padding=2, flip=True)
    assert half.fingerprint != whole.fingerprint
