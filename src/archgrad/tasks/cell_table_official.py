"""The published files of NAS-Bench-201 and NATS-Bench (topology), read as data and condensed to a table of accuracies.

Three forms are published (arXiv 2001.00326 and 2009.00437, and the reading code beside them): one ``.pth`` that
torch.save wrote (NAS-Bench-201-v1_*), one ``.pickle.pbz2`` (NATS-tss-*), and a folder with ``meta.pickle.pbz2`` and one
``.pickle.pbz2`` a cell. All hold pickles; see :mod:`archgrad.tasks.plain_pickle` for how those are read.
"""

from __future__ import annotations

import bz2
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import IO, Any

from archgrad.errors import InputError
from archgrad.tasks.plain_pickle import CONTAINERS, NUMPY, TORCH, PlainUnpickler, RefusedNameError

__all__ = ["COLUMNS", "FIGURES", "read_official"]

FIGURES: Mapping[str, tuple[str, str]] = {
    "cifar10_test": ("cifar10", "ori-test"),
    "cifar10_valid": ("cifar10-valid", "x-valid"),
    "cifar100_test": ("cifar100", "x-test"),
    "cifar100_valid": ("cifar100", "x-valid"),
    "imagenet16_test": ("ImageNet16-120", "x-test"),
    "imagenet16_valid": ("ImageNet16-120", "x-valid"),
}
"""Column, without the number of epochs -> the benchmark's names of the training and of the part of the data."""

SCHEDULES = {"200": "200", "full": "200", "12": "12", "less": "12"}
"""The two trainings of every cell by their names in the files -> their epochs."""

PURPOSE = "a file of NAS-Bench-201 or NATS-Bench"
COLUMNS = tuple(f"{figure}_{epochs}" for epochs in ("200", "12") for figure in FIGURES)
"""The figures of a table in its order: after the long training first."""

Told = Callable[[int, int], None]


def read_official(path: str | Path, told: Told | None = None) -> list[dict[str, Any]]:
    """Return one row per cell: ``index``, ``arch`` and the mean accuracies after the last epoch, over all seeds.

    Args:
        path: a published file, or the unpacked folder.
        told: called with how many cells are done of how many.

    Raises:
        InputError: it is none of the published forms, damaged, or asks for code to be run.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        names, cells = _folder(path)
    elif path.is_file():
        whole = _checked(path, _from_torch(path) if path.suffix == ".pth" else _from_bz2(path))
        names, cells = list(whole["meta_archs"]), iter(whole["arch2infos"].items())
    else:
        raise InputError(f"There is no file or folder '{path}'.")
    rows = []
    for index, trained in cells:
        try:
            rows.append({"index": int(index), "arch": str(names[index]), **_accuracies(trained)})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"'{path}' is {PURPOSE} of another form: cell {index} does not hold what it should ({error!r})."
            ) from error
        if told:
            told(len(rows), len(names))
    return sorted(rows, key=lambda row: int(row["index"]))


def _folder(path: Path) -> tuple[list[str], Iterator[tuple[int, Any]]]:
    """Return the cells' strings, and an iterator over the files of those that are there."""
    meta = path / "meta.pickle.pbz2"
    if not meta.is_file():
        raise InputError(f"'{path}' has no meta.pickle.pbz2; give the unpacked folder of NATS-Bench's topology files.")
    names = list(_checked(meta, _from_bz2(meta), "meta_archs")["meta_archs"])

    def cells() -> Iterator[tuple[int, Any]]:
        for index in range(len(names)):
            for file in (path / f"{index:06d}.pickle.pbz2", path / f"{index}.pickle.pbz2"):
                if file.is_file():
                    yield index, _from_bz2(file)
                    break

    return names, cells()


def _checked(path: Path, content: Any, *keys: str) -> Mapping[str, Any]:
    """Refuse what is no dictionary with these keys."""
    keys = keys or ("meta_archs", "arch2infos")
    if not isinstance(content, Mapping) or any(key not in content for key in keys):
        raise InputError(f"'{path}' is no {PURPOSE.removeprefix('a ')}: it has no {' and '.join(keys)}.")
    return content


def _accuracies(trained: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean accuracies of one cell by column."""
    found = {}
    for name, epochs in SCHEDULES.items():
        results = trained.get(name) or {"dataset_seed": {}}
        for figure, (data, part) in FIGURES.items():
            runs = [results["all_results"][data, seed] for seed in results["dataset_seed"].get(data, ())]
            values = [run["eval_acc1es"].get(f"{part}@{run['epochs'] - 1}") for run in runs]
            if values and None not in values:
                found[f"{figure}_{epochs}"] = round(fmean(float(value) for value in values), 4)
    return found


def _from_bz2(path: Path) -> Any:
    return _read(path, lambda: bz2.open(path), lambda file: _load(file))


def _from_torch(path: Path) -> Any:
    """Read what torch.save wrote, in its form of today (a zip archive) or before version 1.6 (pickles in a row)."""
    if not zipfile.is_zipfile(path):
        # a magic number, the format's version, facts about the machine; then the content
        return _read(path, lambda: path.open("rb"), lambda file: [_load(file) for _ in range(4)][-1])

    def load(file: IO[bytes]) -> Any:
        with zipfile.ZipFile(file) as archive:
            name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if name is None:
                raise ValueError("it has no data.pkl")
            with archive.open(name) as inner:
                return _load(inner)

    return _read(path, lambda: path.open("rb"), load)


def _load(file: IO[bytes]) -> Any:
    return PlainUnpickler(file, {**CONTAINERS, **NUMPY, **TORCH}, PURPOSE).load()


def _read(path: Path, opened: Callable[[], Any], load: Callable[[IO[bytes]], Any]) -> Any:
    try:
        with opened() as file:
            return load(file)
    except RefusedNameError as error:
        raise InputError(
            f"'{path}' is not read: {error}. A file that asks for other code than data needs may do harm."
        ) from error
    # a damaged pickle can fail in any way at all
    except Exception as error:
        raise InputError(f"'{path}' is no {PURPOSE.removeprefix('a ')}, or it is truncated ({error}).") from error
