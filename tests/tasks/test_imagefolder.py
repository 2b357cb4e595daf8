"""Images in folders: layouts, sizes, modes, and messages that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch
from PIL import Image

from archgrad.errors import InputError
from archgrad.tasks.imagefolder import ImageFiles, load_imagefolder
from archgrad.tasks.raw import RawImages


class MakeFolder(Protocol):
    def __call__(
        self,
        name: str = ...,
        *,
        classes: tuple[str, ...] = ...,
        each: int = ...,
        size: tuple[int, int] = ...,
        mode: str = ...,
    ) -> Path: ...


def files(raw: RawImages) -> ImageFiles:
    assert isinstance(raw.train, ImageFiles)
    return raw.train


def test_classes_in_the_folder_are_read_in_alphabetical_order(make_folder: MakeFolder) -> None:
    folder = make_folder(classes=("dog", "cat"), each=3)
    raw = load_imagefolder(str(folder))
    assert raw.classes == ("cat", "dog")
    assert raw.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.test is None
    assert raw.augmentation.crop_padding == 0 and not raw.augmentation.flip
    images = files(raw).fetch([4, 0], ())
    expected = [np.asarray(Image.open(folder / name)) for name in ("dog/001.png", "cat/000.png")]
    assert images.shape == (2, 3, 6, 8)
    assert np.array_equal(images.numpy(), np.stack(expected).transpose(0, 3, 1, 2))


def test_train_and_test_folders(make_folder: MakeFolder) -> None:
    make_folder("both/train", classes=("a", "b", "c"), each=4)
    folder = make_folder("both/test", classes=("b", "c"), each=1).parent
    raw = load_imagefolder(str(folder))
    assert raw.classes == ("a", "b", "c")
    assert len(raw.train) == 12
    assert raw.test is not None and len(raw.test) == 2
    assert raw.test_labels is not None and raw.test_labels.tolist() == [1, 2]


def test_a_strange_test_class_and_a_missing_test_folder(make_folder: MakeFolder) -> None:
    folder = make_folder("both/train").parent
    with pytest.raises(InputError, match=r"no test/ \(beside it: nothing\).*imagefolder:.*train"):
        load_imagefolder(str(folder))
    make_folder("both/test", classes=("cat", "bird"))
    with pytest.raises(InputError, match="classes that .* lacks: bird"):
        load_imagefolder(str(folder))


def test_size_resizes_the_shorter_side_and_cuts_the_centre_out(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder(each=2)
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 255
    Image.fromarray(wide).save(folder / "cat" / "wide.png")
    raw = load_imagefolder(str(folder), size=5)
    assert files(raw).shape == (3, 5, 5)
    images = files(raw).fetch(range(5), ())
    assert images.shape == (5, 3, 5, 5)
    # the middle third of the wide image is all that is left of it, but for a blur at its rim
    assert int(images[2, :, :, 1:4].min()) == 255


def test_grey_images_keep_one_channel_and_mode_converts(make_folder: MakeFolder) -> None:
    folder = make_folder(mode="L", each=2)
    assert files(load_imagefolder(str(folder))).shape == (1, 6, 8)
    assert files(load_imagefolder(str(folder), mode="RGB")).shape == (3, 6, 8)
    Image.new("RGBA", (8, 6), (10, 20, 30, 40)).save(folder / "cat" / "x.png")
    Image.new("P", (8, 6)).save(folder / "cat" / "y.gif")
    with pytest.raises(InputError) as caught:
        load_imagefolder(str(folder))
    assert f"{folder / 'cat' / 'x.png'} (RGBA)" in str(caught.value)
    assert f"{folder / 'cat' / 'y.gif'} (P)" in str(caught.value)
    assert "--set data.mode=RGB" in str(caught.value)
    images = files(load_imagefolder(str(folder), mode="RGB")).fetch([2, 3], ())
    assert images[0, :, 0, 0].tolist() == [10, 20, 30]


def test_an_image_of_another_size_is_named_with_its_remedy(make_folder: MakeFolder) -> None:
    folder = make_folder(each=3)
    Image.new("RGB", (9, 9)).save(folder / "dog" / "odd.png")
    with pytest.raises(InputError) as caught:
        load_imagefolder(str(folder))
    assert f"most images are 8x6 pixels, but not {folder / 'dog' / 'odd.png'} (9x9)" in str(caught.value)
    assert "--set data.size=6" in str(caught.value)


def test_size_and_mode_are_told_at_once(make_folder: MakeFolder) -> None:
    folder = make_folder(each=3)
    Image.new("L", (9, 9)).save(folder / "dog" / "odd.png")
    with pytest.raises(InputError, match=r"2 problems(.|\n)*9x9(.|\n)*odd.png \(L\)"):
        load_imagefolder(str(folder))


def test_sixteen_bits_are_refused(make_folder: MakeFolder) -> None:
    folder = make_folder(each=3, mode="L")
    Image.fromarray(np.zeros((6, 8), dtype=np.uint16)).save(folder / "dog" / "deep.png")
    with pytest.raises(InputError, match="more than 8 bits.*deep.png"):
        load_imagefolder(str(folder), mode="L")


def test_what_is_no_image_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder(each=3)
    (folder / "cat" / "text.jpg").write_text("no image")
    (folder / "cat" / "notes.txt").write_text("ignored")
    with pytest.raises(InputError, match="Not an image, or damaged: .*text.jpg. Mend or remove it"):
        load_imagefolder(str(folder))


def test_truncated_images_are_named_when_they_are_decoded(make_folder: MakeFolder) -> None:
    folder = make_folder(each=4, size=(40, 40))
    for name in ("000.png", "003.png"):
        content = (folder / "dog" / name).read_bytes()
        (folder / "dog" / name).write_bytes(content[: len(content) // 2])
    source = files(load_imagefolder(str(folder)))
    with pytest.raises(InputError, match=r"dog/000.png' cannot be decoded(.|\n)*dog/003.png' cannot"):
        source.fetch(range(8), ())


def test_single_and_missing_images_are_all_listed(make_folder: MakeFolder) -> None:
    folder = make_folder(each=3)
    (folder / "empty").mkdir()
    (folder / "lonely").mkdir()
    Image.new("RGB", (8, 6)).save(folder / "lonely" / "one.png")
    with pytest.raises(InputError) as caught:
        load_imagefolder(str(folder))
    assert f"'{folder / 'empty'}' has no image" in str(caught.value)
    assert f"'{folder / 'lonely'}' has a single image" in str(caught.value)


def test_missing_folders_say_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="imagefolder:PATH"):
        load_imagefolder(None)
    with pytest.raises(InputError, match="There is no folder .*PATH/train/CLASS/image.png"):
        load_imagefolder(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="has no folders in it"):
        load_imagefolder(str(tmp_path))


def test_the_fingerprint_follows_names_sizes_and_conversion_alone(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    first = load_imagefolder(str(folder)).fingerprint
    assert load_imagefolder(str(folder.rename(tmp_path / "moved"))).fingerprint == first
    assert load_imagefolder(str(tmp_path / "moved"), size=4).fingerprint != first
    Image.new("RGB", (8, 6)).save(tmp_path / "moved" / "cat" / "000.png")
    assert load_imagefolder(str(tmp_path / "moved")).fingerprint != first


def test_a_selection_reads_those_files(make_folder: MakeFolder) -> None:
    source = files(load_imagefolder(str(make_folder(each=5))))
    assert torch.equal(source.select([7, 2]).fetch([0, 1], ()), source.fetch([7, 2], ()))
