"""hf:PATH reads what the library ``datasets`` reads, and the columns say what is learnt."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from datasets.exceptions import DatasetNotFoundError
from PIL import Image

import archgrad
from archgrad.api.settings import search_config
from archgrad.errors import InputError
from archgrad.tasks.data import open_data
from archgrad.tasks.hugging_face import hugging_face_task, load_hugging_face
from archgrad.tasks.hugging_face_images import TableImages
from archgrad.tasks.hugging_face_open import chosen_splits
from archgrad.tasks.raw import RawImages
from archgrad.tasks.series import RawSeries
from archgrad.tasks.series_csv import load_csv
from archgrad.tasks.text import RawText
from archgrad.tasks.text_own import load_own_text

DAYS = [str(day.date()) for day in pd.date_range("2024-01-01", periods=60)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the library's copies of what it reads with the test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def pixels(count: int, shape: tuple[int, ...] = (6, 6), seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def image_table(images: np.ndarray[Any, Any], names: tuple[str, ...] = ("cat", "dog"), **more: Any) -> Any:
    """Return a table of images whose classes take turns."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))})
    labels = [number % len(names) for number in range(len(images))]
    table = datasets.Dataset.from_dict({"image": list(map(Image.fromarray, images)), "label": labels}, features)
    for name, cells in more.items():
        table = table.add_column(name, cells)
    return table


def saved(folder: Path, /, **splits: Any) -> str:
    """Write tables as ``save_to_disk`` does and return the folder."""
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return str(folder)


def images_of(raw: object) -> RawImages:
    assert isinstance(raw, RawImages)
    raw.check()
    return raw


def everything(source: object) -> torch.Tensor:
    assert isinstance(source, TableImages)
    return source.fetch(range(len(source)), ())


def test_images_are_decoded_and_splits_become_parts(tmp_path: Path) -> None:
    train, validation, test = (pixels(count, seed=count) for count in (8, 4, 6))
    tables = {"train": image_table(train), "validation": image_table(validation), "test": image_table(test)}
    raw = images_of(load_hugging_face(saved(tmp_path / "all", **tables)))
    assert raw.classes == ("cat", "dog")
    assert torch.equal(everything(raw.train)[:, 0], torch.from_numpy(np.concatenate([train, validation])))
    assert torch.equal(everything(raw.test)[:, 0], torch.from_numpy(test))
    assert raw.train_labels.tolist() == [0, 1] * 6
    assert raw.test_labels is not None and raw.test_labels.tolist() == [0, 1] * 3
    picked = cast(TableImages, raw.train).select([9, 0]).fetch([1, 0], ())
    assert torch.equal(picked[:, 0], torch.from_numpy(np.stack([train[0], validation[1]])))

    del tables["test"]  # as ImageNet is used
    raw = images_of(load_hugging_face(saved(tmp_path / "two", **tables)))
    assert torch.equal(everything(raw.test)[:, 0], torch.from_numpy(validation))
    chosen = images_of(load_hugging_face(str(tmp_path / "all"), train_split="test", test_split="train"))
    assert (len(chosen.train), len(chosen.test or ())) == (10, 8)
    raw = images_of(load_hugging_face(saved(tmp_path / "one", everything=tables["train"])))
    assert raw.test is None


def test_the_fingerprint_is_of_the_contents(tmp_path: Path) -> None:
    images = pixels(8)
    first = load_hugging_face(saved(tmp_path / "a", train=image_table(images))).fingerprint
    assert load_hugging_face(str(tmp_path / "a")).fingerprint == first
    datasets.DatasetDict(train=image_table(images)).save_to_disk(tmp_path / "b", num_shards={"train": 2})
    assert load_hugging_face(str(tmp_path / "b")).fingerprint == first
    assert load_hugging_face(str(tmp_path / "b"), size=4).fingerprint != first
    images[3, 2, 2] += 1
    assert load_hugging_face(saved(tmp_path / "c", train=image_table(images))).fingerprint != first
    images[3, 2, 2] -= 1
    named = image_table(images, names=("cat", "hound"))
    assert load_hugging_face(saved(tmp_path / "d", train=named)).fingerprint != first


def test_images_of_several_sizes_and_modes(tmp_path: Path) -> None:
    table = datasets.concatenate_datasets([image_table(pixels(6)), image_table(pixels(2, (8, 9, 3)))])
    spec = saved(tmp_path / "mixed", train=table)
    with pytest.raises(InputError, match=r"(?s)hf:.*mixed.*row 6 \(9x8\).*--set data.size=6.*data.mode=RGB"):
        load_hugging_face(spec)
    raw = images_of(load_hugging_face(spec, size=4, mode="RGB"))
    assert everything(raw.train).shape == (8, 3, 4, 4)


def test_a_folder_of_image_files(tmp_path: Path) -> None:
    images = pixels(8)
    for number, image in enumerate(images):
        place = tmp_path / "files" / "train" / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    raw = images_of(load_hugging_face(str(tmp_path / "files")))
    found = {
        (label, image.numpy().tobytes())
        for label, image in zip(raw.train_labels.tolist(), everything(raw.train), strict=True)
    }
    assert found == {(number % 2, image.tobytes()) for number, image in enumerate(images)}
    assert raw.classes == ("cat", "dog")


def test_several_columns_could_be_the_classes(tmp_path: Path) -> None:
    table = image_table(pixels(8)).rename_column("label", "fine_label")
    table = table.add_column("coarse", list("abab" * 2)).add_column("number", [3, 0, 1, 2] * 2)
    spec = saved(tmp_path / "x", train=table)
    assert images_of(load_hugging_face(spec)).classes == ("cat", "dog")  # the one that names its classes
    assert images_of(load_hugging_face(spec, label="coarse")).classes == ("a", "b")
    assert images_of(load_hugging_face(spec, label="number")).train_labels.tolist() == [3, 0, 1, 2] * 2
    with pytest.raises(InputError, match=r"column 'corse' in data.label. Did you mean 'coarse'"):
        load_hugging_face(spec, label="corse")
    with pytest.raises(InputError, match="data.label=image names a column of images"):
        load_hugging_face(spec, label="image")
    with pytest.raises(InputError, match="holds images: data.window is for text and series"):
        load_hugging_face(spec, window=5)
    table = table.remove_columns("fine_label").add_column("other", [0, 1] * 4)
    with pytest.raises(InputError, match="2 columns that could be it .*--set data.label=number"):
        load_hugging_face(saved(tmp_path / "y", train=table))
    with pytest.raises(InputError, match=r"no column of classes or whole numbers or text \(data.label\)"):
        load_hugging_face(saved(tmp_path / "z", train=table.select_columns(["image"])))


def test_text_is_read_as_documents_from_python_are(tmp_path: Path) -> None:
    documents = [f"the cat number {number} sat\n" for number in range(30)]
    table = datasets.Dataset.from_dict({"id": list(range(30)), "content": documents, "on": DAYS[:30]})
    raw = load_hugging_face(saved(tmp_path / "x", train=table), window=7)
    own = load_own_text(documents, window=7)
    assert isinstance(raw, RawText)
    assert (raw.train, raw.test, raw.window, raw.fingerprint) == (own.train, own.test, 7, own.fingerprint)
    parts = {"train": table, "unsupervised": table, "valid": table.select([3]), "test": table.select([5])}
    raw = load_hugging_face(saved(tmp_path / "y", **parts))
    assert isinstance(raw, RawText)
    assert (raw.train, raw.validation, raw.test) == ("".join(documents), documents[3], documents[5])


def series_table(rows: int = 60) -> pd.DataFrame:
    values = np.random.default_rng(0).standard_normal((rows, 2))
    return pd.DataFrame({"when": DAYS[:rows], "load": values[:, 0], "price": values[:, 1]})


def test_series_are_read_as_from_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    frame = series_table()
    frame.to_csv(tmp_path / "x" / "train.csv", index=False)
    own = load_csv(str(tmp_path / "x" / "train.csv"), window=6, horizon=2, targets=("price",))
    for path in (tmp_path / "x", tmp_path / "x" / "train.csv"):
        raw = load_hugging_face(str(path), window=6, horizon=2, targets=("price",))
        assert isinstance(raw, RawSeries)
        assert (raw.names, raw.dates, raw.targets, raw.window) == (("load", "price"), own.dates, (1,), 6)
        assert torch.equal(raw.values, own.values)
        assert raw.fingerprint == own.fingerprint

    frame["when"] = pd.to_datetime(frame["when"])
    frame["where"] = "here"
    spans = {"train": slice(0, 40), "validation": slice(40, 48), "test": slice(48, 60)}
    tables = {part: datasets.Dataset.from_pandas(frame[span], preserve_index=False) for part, span in spans.items()}
    spec = saved(tmp_path / "parts", **tables)
    raw = load_hugging_face(spec, columns=("price",), window=6, horizon=2)
    assert isinstance(raw, RawSeries)
    assert (raw.names, raw.dates, raw.shares) == (("price",), own.dates, (40, 8, 12))
    with pytest.raises(InputError, match=r"column 'where' holds text, no numbers.*--set data.columns=\[load,price\]"):
        load_hugging_face(spec, targets=("price",))
    with pytest.raises(InputError, match="splits for all three parts"):
        load_hugging_face(spec, columns=("price",), shares=(0.5, 0.2, 0.3))
    with pytest.raises(InputError, match="data.text and data.date ask for two tasks, language and forecasting"):
        load_hugging_face(spec, text="where", date="when")


def test_data_are_opened_once_and_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, load = [], datasets.load_from_disk

    def counting(path: str) -> Any:
        opened.append(path)
        return load(path)

    monkeypatch.setattr(datasets, "load_from_disk", counting)
    spec = saved(tmp_path / "x", train=datasets.Dataset.from_pandas(series_table(), preserve_index=False))
    assert hugging_face_task(spec, {}) == "forecasting" and opened == [spec]  # dates are told from text, in its rows
    load_hugging_face(spec, window=6, horizon=2)
    assert opened == [spec] * 2
    (tmp_path / "x").rename(tmp_path / "old")
    saved(tmp_path / "x", train=datasets.Dataset.from_dict({"text": DAYS}))
    assert hugging_face_task(spec, {}) == "language"


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    table = datasets.Dataset.from_dict({"question": ["why", "who"], "answer": ["so", "me"], "n": [[1], [2]]})
    with pytest.raises(InputError, match=r"leaves open what is to be learnt.*question \(text\), answer \(text\), n \("):
        load_hugging_face(saved(tmp_path / "x", train=table))
    with pytest.raises(InputError, match="Unknown split 'tests' in data.test_split. Did you mean 'test'"):
        chosen_splits({"train": table, "test": table}, {"test": "tests"}, "hf:x")
    with pytest.raises(InputError, match=r"No split of hf:x is called train; there are a, b.*data.train_split=a"):
        chosen_splits({"a": table, "b": table}, {}, "hf:x")
    with pytest.raises(InputError, match="One split of hf:x is to serve as two parts"):
        chosen_splits({"a": table, "b": table}, {"train": "a", "test": "a"}, "hf:x")


def test_the_columns_decide_the_settings(tmp_path: Path) -> None:
    text = datasets.Dataset.from_dict({"text": ["a b c", "b c d"] * 40})
    series = datasets.Dataset.from_pandas(series_table(), preserve_index=False)
    found = {
        task: search_config("darts", data=f"hf:{saved(tmp_path / task, train=table)}")
        for task, table in (("image", image_table(pixels(8))), ("language", text), ("forecasting", series))
    }
    spaces = {task: config.space.name for task, config in found.items()}
    assert spaces == {"image": "darts", "language": "darts-rnn", "forecasting": "darts-rnn"}
    assert (found["language"].weights.rate, found["forecasting"].weights.rate) == (5.0, 0.1)
    words = {"seed": 0, "batch": 4, "choice_share": 0.0, "device": "cpu"}
    assert open_data(found["language"].data.spec, **cast(Any, words)).task == "language"
    options = {"window": 6, "horizon": 2}
    assert open_data(found["forecasting"].data.spec, options=options, **cast(Any, words)).task == "forecasting"
    with pytest.raises(InputError, match=r"data\.windw.*Did you mean data\.window"):
        search_config("darts", data=found["language"].data.spec, settings={"data.windw": 4})


def test_images_are_searched_trained_evaluated_and_predicted(tmp_path: Path) -> None:
    spec = f"hf:{saved(tmp_path / 'x', train=image_table(pixels(40)), test=image_table(pixels(8, seed=1)))}"
    settings = {"supernet.cells": 2, "supernet.channels": 2, "space.nodes": 1, "data.batch": 8, "train.batch": 16}
    settings |= {"train.cells": 2, "train.channels": 2, "train.auxiliary": 0}
    run = tmp_path / "run"

    def interrupt(state: Any) -> None:
        raise KeyboardInterrupt

    words = {"epochs": 2, "device": "cpu", "settings": settings}
    with pytest.raises(KeyboardInterrupt):
        archgrad.search("darts", data=spec, run=run, on_epoch=interrupt, **cast(Any, words))
    found = archgrad.search(run=run, resume=True)
    assert (found.data, found.epochs) == (spec, 2)
    trained = archgrad.train(run, epochs=1, device="cpu")
    assert archgrad.evaluate(run, device="cpu") == pytest.approx(trained.metrics)
    answers = archgrad.predict(run, torch.from_numpy(pixels(2))[:, None], device="cpu")
    assert {answer["class"] for answer in answers} <= {"cat", "dog"}
    (tmp_path / "x").rename(tmp_path / "old")
    saved(tmp_path / "x", train=image_table(pixels(40, seed=2)), test=image_table(pixels(8, seed=1)))
    with pytest.raises(InputError, match="have changed since the network was trained"):
        archgrad.evaluate(run, device="cpu")
    with pytest.raises(InputError, match="data"):
        archgrad.search(run=run, resume=True)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="hf needs the name of a data set"):
        load_hugging_face(None)
    with pytest.raises(InputError, match=r"hub cannot be reached .*nobody/nothing.* give a folder, hf:PATH"):
        load_hugging_face("nobody/nothing")
    with pytest.raises(InputError, match="There is no file or folder './nowhere'"):
        load_hugging_face("./nowhere")
    with pytest.raises(InputError, match="'csv' is a format and no data set"):
        load_hugging_face("csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"'.*empty' cannot be read .*Such a folder holds Parquet"):
        load_hugging_face(str(tmp_path / "empty"))
    (tmp_path / "empty" / "train.csv").write_text("a,b\n1,2\n1,2,3,4\n")
    with pytest.raises(InputError, match="while generating the dataset: Error tokenizing data"):
        load_hugging_face(str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"Unknown configuration 'large' in data.config.*default"):
        load_hugging_face(str(tmp_path / "empty"), config="large")

    def fail(error: Exception) -> None:
        def raising(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(datasets, "load_dataset", raising)

    fail(DatasetNotFoundError("Dataset 'x/y' doesn't exist on the Hub or cannot be accessed."))
    with pytest.raises(InputError, match="There is no data set 'x/y' on the Hugging Face hub, or it asks for a login"):
        load_hugging_face("x/y")
    fail(ValueError("Config name is missing.\nPlease pick one among the available configs: ['raw', 'v1']\nExample"))
    with pytest.raises(InputError, match="several configurations: raw, v1. Choose one: --set data.config=raw"):
        load_hugging_face("x/y")
    fail(RuntimeError("Dataset scripts are no longer supported, but found y.py"))
    with pytest.raises(InputError, match="program of its own, which is never run"):
        load_hugging_face("x/y")
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(InputError, match="needs datasets 4 or newer, here is 3.6.0"):
        load_hugging_face("x/y")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install .archgrad\[hf\]"):
        load_hugging_face("x/y")


def test_programs_that_come_with_data_are_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(InputError, match="cannot be read|never run"):
        load_hugging_face(str(folder))
    assert not os.path.exists(folder / "__pycache__")
