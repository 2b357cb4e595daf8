"""The user's own data from Python: a pair of tensors or arrays, a torch Dataset, or a DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from archgrad.errors import InputError, several
from archgrad.tasks.own_dataset import DatasetImages, collected, pixels, scanned
from archgrad.tasks.raw import Images, RawImages, digest, listed
from archgrad.tasks.streaming import CHUNK

__all__ = ["load_own", "numbered"]

ACCEPTED = (
    "a pair (images, labels) of tensors or arrays, a torch Dataset or a DataLoader of such pairs, or a dictionary "
    'with "train", and if you like "test" and "classes"; or series: a pandas frame, or rows of numbers [time, series]; '
    'or text: a list of documents, or a dictionary with "train", each part a string, a list of documents, or a split '
    'with a column "text"'
)


def load_own(given: object) -> RawImages:
    """Take the user's own objects as images with labels.

    Args:
        given: a pair (images, labels); a map-style ``Dataset`` of such pairs, which is read while training runs; a
            ``DataLoader``, of which the dataset, the collate function and the number of workers are used (order and
            batches are the run's own); or a mapping with ``"train"``, optionally ``"test"`` (each one of the former)
            and ``"classes"`` (names). Images are [N, C, H, W] or [N, H, W], uint8 (0 to 255) or float (taken as they
            are); labels are whole numbers from 0, or names.

    Raises:
        InputError: something else was given, or images and labels do not fit together.
    """
    parts = dict(given) if isinstance(given, Mapping) else {"train": given}
    strange = [str(key) for key in parts if key not in ("train", "test", "classes")]
    if strange or "train" not in parts:
        raise InputError(f"Data given as a dictionary have the keys train, test and classes; got: {listed([*parts])}.")
    kind, train, labels = _read(parts["train"], "train")
    test, test_labels = None, None
    if "test" in parts:
        _, test, test_labels = _read(parts["test"], "test")
    names = parts.get("classes")
    if names is not None and not isinstance(names, (list, tuple)):
        raise InputError(f"The classes must be a list of their names, got {_said(names)}.")
    numbers, test_numbers, classes = numbered(labels, test_labels, [str(name) for name in names or ()])
    contents = [part for part in (_content(train), numbers, _content(test), test_numbers) if part is not None]
    return RawImages(
        name=kind,
        train=train,
        train_labels=numbers,
        test=test,
        test_labels=test_numbers,
        classes=classes,
        fingerprint=digest(*contents, classes),
    )


def _read(given: object, part: str) -> tuple[str, Images, object]:
    """Return what kind of object it is, its images and its labels as they are."""
    collate: Callable[[list[Any]], Any] = default_collate
    workers = 0
    kind = "own dataset"
    if isinstance(given, DataLoader):
        kind = "own loader"
        if isinstance(given.dataset, IterableDataset):
            return kind, *collected(given, part)
        # a loader without batches of its own has a collate function for single examples, which is of no use here
        collate = given.collate_fn if given.batch_size or given.batch_sampler else default_collate
        workers, given = given.num_workers, given.dataset
    if isinstance(given, IterableDataset):
        return kind, *collected(DataLoader(given, batch_size=CHUNK), part)
    if isinstance(given, TensorDataset) and collate is default_collate:
        given = given.tensors
    if isinstance(given, Dataset):
        return kind, *scanned(given, collate, workers, part)
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return "own tensors", pixels(given[0], part), given[1]
    raise InputError(f"Data cannot be made from {_said(given)} ({part}). Give {ACCEPTED}.")


def _said(given: object) -> str:
    return f"{len(given)} things" if isinstance(given, (tuple, list)) else f"an object of type {type(given).__name__}"


def numbered(train: object, test: object | None, names: list[str]) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Return the labels as numbers from 0, and the names of the classes.

    Args:
        train: whole numbers or names, [N].
        test: likewise; None if there are none.
        names: of the classes, where they are known.

    Raises:
        InputError: labels that are neither whole numbers nor names, or that have no class.
    """
    arrays = [_label_array(labels) for labels in (train, test) if labels is not None]
    words = [array.dtype.kind in "US" for array in arrays]
    problems = []
    for array, part in zip(arrays, ("train", "test"), strict=False):
        if array.ndim != 1:
            problems.append(f"the {part} labels must be one number an image, got an array of shape {array.shape}")
        if array.dtype.kind not in "iuUS":
            problems.append(f"the {part} labels must be whole numbers or names, got {array.dtype}")
    if not problems and any(words) != all(words):
        problems.append("the training labels and the test labels must both be numbers or both be names")
    if problems:
        raise several("The labels cannot be used", problems)
    if all(words):
        classes = names or sorted({str(label) for label in arrays[0].tolist()})
        strange = sorted({str(label) for array in arrays for label in array.tolist()} - set(classes))
        if strange:
            raise InputError(
                f"Labels without a class among the training labels or the given classes: {listed(strange)}."
            )
        place = {name: number for number, name in enumerate(classes)}
        arrays = [np.array([place[str(label)] for label in array.tolist()]) for array in arrays]
    else:
        classes = names or [str(number) for number in range(int(arrays[0].max(initial=-1)) + 1)]
    numbers = [torch.from_numpy(array.astype(np.int64)) for array in arrays]
    return numbers[0], numbers[1] if test is not None else None, tuple(classes)


def _label_array(labels: object) -> np.ndarray[Any, np.dtype[Any]]:
    return labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.array(labels)


def _content(images: Images | None) -> Tensor | str | None:
    return images.contents if isinstance(images, DatasetImages) else images if isinstance(images, Tensor) else None
