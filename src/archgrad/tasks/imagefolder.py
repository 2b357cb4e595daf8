"""The user's own images in folders, one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from archgrad.errors import InputError, several
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.decoding import UNREADABLE, agreed, decoded, header_of
from archgrad.tasks.raw import RawImages, digest, listed
from archgrad.tasks.streaming import processors

__all__ = ["ImageFiles", "load_imagefolder"]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def load_imagefolder(argument: str | None, *, size: int | None = None, mode: str | None = None) -> RawImages:
    """Your own images, one folder a class; imagefolder:PATH with PATH/train and PATH/test, or the classes in PATH.

    Without PATH/test the test part is held out. A set that is too large for memory is streamed.

    Args:
        argument: the folder.
        size: resize the shorter side to this many pixels and cut the centre square out; without it all images must have
            the same size.
        mode: ``"RGB"`` or ``"L"`` (grey), into which all images are converted; without it they must agree.

    Raises:
        InputError: the folder is missing, a class has fewer than two images, images differ in size or mode or cannot be
            decoded.
    """
    if argument is None:
        raise InputError("imagefolder needs a folder: write imagefolder:PATH, where PATH holds one folder a class.")
    folder = Path(argument).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"There is no folder '{folder}'. Expected PATH/train/CLASS/image.png and PATH/test/CLASS/image.png, "
            "or PATH/CLASS/image.png."
        )
    train_folder, test_folder = _layout(folder)
    classes = tuple(_folders(train_folder))
    train, train_labels = _listing(train_folder, classes, least=2)
    test: list[Path] = []
    test_labels = None
    if test_folder:
        strange = [name for name in _folders(test_folder) if name not in classes]
        if strange:
            raise InputError(f"'{test_folder}' has classes that '{train_folder}' lacks: {listed(strange)}.")
        there = tuple(name for name in classes if (test_folder / name).is_dir())
        test, numbers = _listing(test_folder, there, least=1)
        test_labels = torch.tensor([classes.index(there[number]) for number in numbers.tolist()], dtype=torch.int64)
    files = ImageFiles.open(folder, [*train, *test], size, mode)
    names = [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in files.paths]
    everything = range(len(files))
    return RawImages(
        name=f"imagefolder:{folder}",
        train=files.select(everything[: len(train)]),
        train_labels=train_labels,
        test=files.select(everything[len(train) :]) if test_folder else None,
        test_labels=test_labels,
        classes=classes,
        fingerprint=digest(names, f"{size} {mode}"),
        augmentation=Augmentation(crop_padding=min(files.shape[1:]) // 8),
    )


def _layout(folder: Path) -> tuple[Path, Path | None]:
    """Return the folders of the training and the test images, the latter None where it is to be held out."""
    below = _folders(folder)
    if "train" in below and "test" in below:
        return folder / "train", folder / "test"
    if "train" in below and _folders(folder / "train"):
        others = [name for name in below if name != "train"]
        raise InputError(
            f"'{folder}' has train/ but no test/ (beside it: {listed(others) or 'nothing'}). Rename the folder of the "
            f"test images to test, or write imagefolder:{folder / 'train'} to have 20 % held out."
        )
    return folder, None


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listing(folder: Path, classes: Sequence[str], least: int) -> tuple[list[Path], Tensor]:
    """Return the image files of every class and the number of each file's class.

    Raises:
        InputError: there are no classes, or classes with fewer than ``least`` images; all are named.
    """
    if not classes:
        raise InputError(f"'{folder}' has no folders in it; expected one folder of images a class.")
    paths: list[Path] = []
    labels: list[int] = []
    problems = []
    for number, name in enumerate(classes):
        here = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if len(here) < least:
            found = "a single image" if here else f"no image ({', '.join(sorted(SUFFIXES))})"
            problems.append(f"class folder '{folder / name}' has {found}; it needs at least {least}")
        paths += here
        labels += [number] * len(here)
    if problems:
        raise several("The class folders cannot be used", problems)
    return paths, torch.tensor(labels, dtype=torch.int64)


@dataclass(frozen=True)
class ImageFiles:
    """Image files that are decoded when they are asked for.

    Attributes:
        paths: the files.
        size: side of the square that they are resized and cut to; None leaves them as they are.
        mode: ``"RGB"`` or ``"L"``.
        shape: (channels, height, width) of every decoded image.
    """

    paths: tuple[Path, ...]
    size: int | None
    mode: str
    shape: tuple[int, int, int]
    dtype: torch.dtype = torch.uint8
    keep: bool = True
    workers: int = 4

    @classmethod
    def open(cls, root: Path, paths: Sequence[Path], size: int | None, mode: str | None) -> ImageFiles:
        """Look at the headers of all files and settle what they have in common.

        Raises:
            InputError: files that are no images, or whose size or mode differs from the others'; all are named.
        """
        with ThreadPoolExecutor(processors()) as threads:
            headers = list(threads.map(header_of, paths))
        common, shape = agreed(paths, headers, size, mode, str(root))
        return cls(tuple(paths), size, common, shape)

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, indices: Sequence[int]) -> ImageFiles:
        """Return these files only, in this order."""
        return replace(self, paths=tuple(self.paths[index] for index in indices))

    def fetch(self, indices: Sequence[int], key: tuple[object, ...]) -> Tensor:
        """Decode images uint8 [n, C, H, W]; the key is not needed, files do not change.

        Raises:
            InputError: files that cannot be decoded; all are named.
        """
        images = torch.empty((len(indices), *self.shape), dtype=self.dtype)
        broken = []
        for place, index in enumerate(indices):
            try:
                images[place] = decoded(self.paths[index], self.size, self.mode, self.shape[1:])
            except UNREADABLE as error:
                broken.append(f"'{self.paths[index]}' cannot be decoded ({error}). Mend or remove it.")
        if broken:
            raise InputError("\n".join(broken))
        return images
