"""Data sets of the Hugging Face hub, or folders that the library ``datasets`` reads: images, text or series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import pandas as pd

from archgrad.errors import InputError, several
from archgrad.tasks.augment import Augmentation
from archgrad.tasks.hugging_face_columns import (
    IsDate,
    image_columns,
    kinds_of,
    learnt,
    series_columns,
    text_column,
)
from archgrad.tasks.hugging_face_images import TableImages
from archgrad.tasks.hugging_face_open import DataSet, chosen_splits
from archgrad.tasks.own import numbered
from archgrad.tasks.raw import RawImages, digest
from archgrad.tasks.series import RawSeries
from archgrad.tasks.series_csv import date_column
from archgrad.tasks.series_table import load_table
from archgrad.tasks.text import RawText
from archgrad.tasks.text_own import load_own_text

__all__ = ["hugging_face_task", "load_hugging_face"]

EVERY = ("config", "revision", "train_split", "validation_split", "test_split")
"""Options of all tasks; those that name columns decide the task, and the rest belongs to one or two."""

OPTIONS = {
    "image": ("image", "label", "size", "mode"),
    "language": ("text", "tokens", "vocabulary", "window", "shares", "evaluation_streams"),
    "forecasting": ("columns", "targets", "date", "window", "horizon", "shares", "season", "anchor"),
}
"""Task -> the options that it has beside :data:`EVERY`."""

HELD = {"image": "images", "language": "text", "forecasting": "series"}


def hugging_face_task(argument: str | None, options: Mapping[str, Any]) -> str:
    """Return what is learnt from a data set: "image", "language" or "forecasting"; told by its columns' types.

    Args:
        argument: its name or path.
        options: what was set under ``data``; what has nothing to do with it is passed over.

    Raises:
        InputError: it cannot be found, reached or read, or its columns leave it open.
    """
    name, where = _named(argument)
    data = DataSet(name, options.get("config"), options.get("revision"))
    return learnt(kinds_of(data.features), options, _dates(data), where)


def load_hugging_face(
    argument: str | None,
    *,
    config: str | None = None,
    revision: str | None = None,
    train_split: str | None = None,
    validation_split: str | None = None,
    test_split: str | None = None,
    image: str | None = None,
    label: str | None = None,
    size: int | None = None,
    mode: str | None = None,
    text: str | None = None,
    tokens: str | None = None,
    vocabulary: int | None = None,
    evaluation_streams: int | None = None,
    date: str | None = None,
    columns: tuple[str, ...] | None = None,
    targets: tuple[str, ...] | None = None,
    window: int | None = None,
    horizon: int | None = None,
    shares: tuple[float, ...] | None = None,
    season: int | None = None,
    anchor: bool | None = None,
) -> RawImages | RawSeries | RawText:
    """Images, text or series from the Hugging Face hub, hf:NAME, or from a folder that its library reads, hf:PATH.

    What is learnt is told by the columns: images and their classes, text, or numbers over time. Options that are None
    are those of imagefolder:PATH, text:PATH and csv:PATH.

    Args:
        argument: such as ``ylecun/mnist``, or a folder: what ``save_to_disk`` wrote, or Parquet, CSV, image files, ...
        config: which configuration of the data set, where there are several.
        revision: which version on the hub: a branch, a tag or a commit.
        train_split: the split that is the training part; found by its name.
        validation_split: the split that is the validation part of text and series. Of images it is added to the
            training part; where there is no test part, it is the test part of images and series.
        test_split: the split that is the test part; what is missing is held out or cut off as of any data of your own.
        image: the column of the images.
        label: the column of their classes.
        size: of images, see imagefolder.
        mode: of images, see imagefolder.
        text: the column of the documents.
        tokens: of text, see text.
        vocabulary: of text, see text.
        evaluation_streams: of text, see text.
        date: of series, the column of the dates.
        columns: of series, the columns that are read; all but that of the dates.
        targets: of series, the columns that are forecast; all that are read.
        window: of text and series, see text and csv.
        horizon: of series, see csv.
        shares: of text and series in one piece, see text and csv.
        season: of series, see csv.
        anchor: of series, see csv.

    Raises:
        InputError: it cannot be found, reached or read, its columns leave open what is meant, or options do not fit.
    """
    options = {key: value for key, value in locals().items() if key != "argument" and value is not None}
    name, where = _named(argument)
    data = DataSet(name, config, revision)
    wanted = {"train": train_split, "validation": validation_split, "test": test_split}
    parts = chosen_splits(data.splits, wanted, where)
    kinds, is_date = kinds_of(parts["train"].features), _dates(data)
    task = learnt(kinds, options, is_date, where)
    own = {key: value for key, value in options.items() if key not in EVERY}
    if foreign := [key for key in own if key not in OPTIONS[task]]:
        others = [f"data.{key} is for {_owners(key)}" for key in foreign]
        raise several(f"{where} holds {HELD[task]}", others)
    try:
        if task == "image":
            return _images(parts, *image_columns(kinds, options, where), size, mode, where)
        if task == "language":
            return _text(parts, text_column(kinds, options, is_date, where), own, where)
        return _series(parts, *series_columns(kinds, options, is_date, where), own, where)
    except InputError as error:
        if where in str(error):
            raise
        raise InputError(f"{where}: {error}") from error


def _named(argument: str | None) -> tuple[str, str]:
    """Return the data set's name or path, and the SPEC for messages."""
    if argument is None:
        raise InputError(
            "hf needs the name of a data set on the Hugging Face hub, hf:NAME, such as hf:ylecun/mnist, or a folder."
        )
    return argument, f"hf:{argument}"


def _dates(data: DataSet) -> IsDate:
    """Return what tells whether the first texts of a column are dates."""

    def is_date(column: str) -> bool:
        table = next(iter(data.splits.values()))
        head = table.select(range(min(5, len(table))))[:][column]
        return date_column(pd.DataFrame({column: [str(cell) for cell in head]})) is not None

    return is_date


def _owners(key: str) -> str:
    return " and ".join(HELD[task] for task, keys in OPTIONS.items() if key in keys)


def _cells(table: Any, column: str) -> list[Any]:
    return list(table.select_columns([column])[:][column])


def _images(
    parts: Mapping[str, Any], image: str, label: str, size: int | None, mode: str | None, where: str
) -> RawImages:
    import datasets

    tested = [part for part in ("test", "validation") if part in parts][:1]
    trained = [part for part in ("train", "validation") if part in parts and part not in tested]
    order = [*trained, *tested]
    lengths = [len(parts[part]) for part in order]
    spans = dict(zip(order, pairwise(accumulate(lengths, initial=0)), strict=True))
    table = datasets.concatenate_datasets([parts[part].select_columns([image]) for part in order])
    images = TableImages.open(table, image, size, mode, where)
    labels = {part: _cells(parts[part], label) for part in order}
    numbers, test_numbers, classes = numbered(
        [each for part in trained for each in labels[part]],
        labels[tested[0]] if tested else None,
        list(getattr(parts["train"].features[label], "names", None) or []),
    )
    return RawImages(
        name=where,
        train=images.select(range(spans[trained[-1]][1])),
        train_labels=numbers,
        test=images.select(range(*spans[tested[0]])) if tested else None,
        test_labels=test_numbers,
        classes=classes,
        fingerprint=digest(images.contents, numbers, *([] if test_numbers is None else [test_numbers]), classes),
        augmentation=Augmentation(crop_padding=min(images.shape[1:]) // 8),
    )


def _text(parts: Mapping[str, Any], column: str, options: Mapping[str, Any], where: str) -> RawText:
    given = {part: _cells(table, column) for part, table in parts.items()}
    options = {key: value for key, value in options.items() if key != "text"}
    return replace(load_own_text(given, **options), name=where)


def _series(
    parts: Mapping[str, Any], date: str | None, columns: Sequence[str], options: Mapping[str, Any], where: str
) -> RawSeries:
    taken = [*([date] if date is not None else []), *columns]
    frames = {part: table.select_columns(taken).to_pandas()[taken] for part, table in parts.items()}
    options = {key: value for key, value in options.items() if key != "columns"} | {"date": date}
    given: object = frames["train"]
    if len(frames) == 3:
        if "shares" in options:
            raise InputError("data.shares divides one table, and here are splits for all three parts; leave it out.")
        options["shares"] = tuple(len(frames[part]) for part in ("train", "validation", "test"))
        given = pd.concat([frames[part] for part in ("train", "validation", "test")], ignore_index=True)
    elif len(frames) == 2:
        given = {"train": frames["train"], "test": frames.get("test", frames.get("validation"))}
    return replace(load_table(given, **options), name=where)
