"""Tables of trained cells: read, looked up, written, and made of the published files."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from archgrad.errors import InputError
from archgrad.published import published
from archgrad.space.nasbench201_strings import all_strings, read_string
from archgrad.tasks.cell_table import CellTable, write_table
from archgrad.tasks.cell_table_official import COLUMNS, read_official

CELLS = [
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|",
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|nor_conv_1x1~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
]
ELSEWHERE = "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
ROWS = [
    {"index": index, "arch": text, "cifar10_test_200": value, "cifar10_valid_12": None if index else 80.5}
    for index, (text, value) in enumerate(zip(CELLS, (90.0, 91.5, 91.0, 10.0), strict=True))
]


@pytest.fixture
def table(tmp_path: Path) -> CellTable:
    return CellTable(write_table(tmp_path / "t.csv.gz", ROWS, COLUMNS))


def test_a_table_says_what_a_cell_is_worth(table: CellTable) -> None:
    assert table.figures == ("cifar10_test_200", "cifar10_valid_12")
    about = table.about(read_string(CELLS[0]))
    assert about["figures"] == {"cifar10_test_200": 90.0, "cifar10_valid_12": 80.5}
    assert (about["string"], about["rank"], about["of"]) == (CELLS[0], 3, 4)
    assert (about["isomorphic"], about["isomorphic_mean"]) == (1, 90.0)
    assert table.value(read_string(CELLS[1])) == 91.5
    lacking = table.about(read_string(ELSEWHERE))
    assert lacking["figures"] is lacking["rank"] is lacking["isomorphic_mean"] is None
    assert lacking["isomorphic"] == 0


def test_isomorphic_cells_are_counted_and_averaged(tmp_path: Path) -> None:
    alike = ["|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"]
    alike += ["|none~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"]
    rows = [{"index": k, "arch": text, "a": 1.0 + k} for k, text in enumerate(alike)]
    path = write_table(tmp_path / "t.csv", rows, ["a", "b"])
    assert path.read_text().splitlines()[0] == "index,arch,iso_rep,a"
    assert [line.split(",")[2] for line in path.read_text().splitlines()[1:]] == ["0", "0"]
    about = CellTable(path).about(read_string(alike[0]))
    assert (about["isomorphic"], about["isomorphic_mean"]) == (2, 1.5)


def test_cells_of_other_spaces_are_refused(table: CellTable) -> None:
    with pytest.raises(InputError, match="space darts"):
        table.about(published("DARTS_V2"))
    with pytest.raises(InputError, match="--space nasbench201"):
        table.check_space("darts")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs a column 'arch'"),
        (b"a,b\n1,2\n", "Its columns: a, b"),
        (b"arch,index\n|none~0|,1\n", "no column of figures"),
        (b"arch,x\n|none~0|,1\n|none~0|,one\n", "line 3"),
        (b"arch,x\nsomething,1\n", "no architecture string"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        CellTable(tmp_path / "t.csv")


def test_missing_and_damaged_tables_are_refused(tmp_path: Path, table: CellTable) -> None:
    with pytest.raises(InputError, match="There is no table"):
        CellTable(tmp_path / "none.csv")
    whole = table.path.read_bytes()
    table.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        CellTable(table.path)
    with pytest.raises(InputError, match="must end in .csv"):
        write_table(tmp_path / "t.txt", ROWS, ["cifar10_test_200"])


def trained(epochs: int, base: float, seeds: list[int], weights: Any = None) -> dict[str, Any]:
    """Return what the published files hold of one training of a cell."""
    results = {}
    for data, parts in (("cifar10-valid", ("x-valid", "ori-test")), ("cifar10", ("ori-test",))):
        for seed in seeds:
            results[data, seed] = {
                "name": "infer.tiny",
                "net_state_dict": weights,
                "train_acc1es": OrderedDict((k, 50.0) for k in range(epochs)),
                "params": np.float64(0.3),
                "epochs": epochs,
                "seed": seed,
                "eval_names": list(parts),
                "eval_acc1es": {f"{part}@{k}": np.float64(base + seed + k) for part in parts for k in range(epochs)},
            }
    return {"arch_index": 0, "all_results": results, "dataset_seed": {"cifar10-valid": seeds, "cifar10": seeds}}


def benchmark(names: tuple[str, str]) -> dict[str, Any]:
    """Return the whole content of a published file: two cells, two seeds, two schedules."""
    tensors = {"weight": torch.ones(2, 2), "other": torch.nn.Parameter(torch.ones(1))}
    infos = {
        index: {names[0]: trained(3, 10.0 * index, [1, 2], tensors), names[1]: trained(2, index, [1])}
        for index in range(2)
    }
    return {"meta_archs": CELLS[:2], "arch2infos": OrderedDict(infos), "evaluated_indexes": [0, 1]}


EXPECTED = [
    # the mean over the seeds 1 and 2 after the last epoch; cell 1 has ten more
    {"cifar10_test_200": 3.5, "cifar10_valid_200": 3.5, "cifar10_test_12": 2.0, "cifar10_valid_12": 2.0},
    {"cifar10_test_200": 13.5, "cifar10_valid_200": 13.5, "cifar10_test_12": 3.0, "cifar10_valid_12": 3.0},
]


def dump(content: Any, path: Path) -> None:
    with bz2.open(path, "wb") as file:
        pickle.dump(content, file, protocol=4)


def written(form: str, folder: Path) -> Path:
    if form == "folder":
        content = benchmark(("200", "12"))
        dump({"meta_archs": content["meta_archs"]}, folder / "meta.pickle.pbz2")
        for index, cell in content["arch2infos"].items():
            dump(cell, folder / f"{index:06d}.pickle.pbz2")
        return folder
    path = folder / ("NATS.pickle.pbz2" if form == "bz2" else "NAS-Bench-201.pth")
    if form == "bz2":
        dump(benchmark(("200", "12")), path)
    else:
        torch.save(benchmark(("full", "less")), path, _use_new_zipfile_serialization=form == "torch")
    return path


@pytest.mark.parametrize("form", ["folder", "bz2", "torch", "old torch"])
def test_the_published_files_become_a_table(form: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    rows = read_official(written(form, tmp_path), lambda done, of: told.append((done, of)))
    assert rows == [{"index": k, "arch": CELLS[k], **figures} for k, figures in enumerate(EXPECTED)]
    assert told == [(1, 2), (2, 2)]
    table = CellTable(write_table(tmp_path / "t.csv", rows, list(EXPECTED[0])))
    assert table.value(read_string(CELLS[1])) == 13.5


class Harmful:
    """Something that runs when it is unpickled carelessly."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harm-done",)


@pytest.mark.parametrize("form", ["bz2", "torch", "old torch"])
def test_files_that_would_run_something_are_refused(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"meta_archs": Harmful(), "arch2infos": {}}
    path = tmp_path / ("x.pickle.pbz2" if form == "bz2" else "x.pth")
    if form == "bz2":
        dump(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(InputError, match="asks for .*system.*may do harm"):
        read_official(path)
    assert not (tmp_path / "harm-done").exists()


def test_other_official_files_are_refused(tmp_path: Path) -> None:
    cases: dict[str, tuple[bytes, str]] = {
        "a.pth": (b"no pickle at all", "no file of NAS-Bench-201"),
        "b.pickle.pbz2": (bz2.compress(pickle.dumps([1, 2])), "has no meta_archs"),
        "c.pickle.pbz2": (
            bz2.compress(pickle.dumps({"meta_archs": ["|none~0|"], "arch2infos": {0: {"200": {"dataset_seed": 3}}}})),
            "of another form: cell 0",
        ),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_official(tmp_path / name)
    with pytest.raises(InputError, match="no meta.pickle.pbz2"):
        read_official(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        read_official(tmp_path / "missing")
    zipped = io.BytesIO()
    torch.save([1], zipped)
    (tmp_path / "d.pth").write_bytes(zipped.getvalue())
    with pytest.raises(InputError, match="has no meta_archs"):
        read_official(tmp_path / "d.pth")


REAL = os.environ.get("ARCHGRAD_NASBENCH201_TABLE")


@pytest.mark.skipif(not REAL, reason="set ARCHGRAD_NASBENCH201_TABLE to the whole table of CIFAR-10 as CSV")
def test_the_whole_table_has_the_published_extremes() -> None:
    table = CellTable(str(REAL))
    assert len(table.rows) == 15_625
    assert set(table.rows) == set(all_strings())
    best = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    skips = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    about = table.about(read_string(best))
    assert (about["figures"][table.figure], about["rank"]) == (94.3733, 1)
    assert table.value(read_string(skips)) == 54.2967
    with gzip.open(str(REAL), "rt") as file:  # the authors' own classes are ours
        header, *lines = [line.rstrip().split(",") for line in file]
    theirs = {line[header.index("arch")]: line[header.index("iso_rep")] for line in lines}
    assert len(set(theirs.values())) == 6_466
    for texts in table._classes.values():
        assert len({theirs[text] for text in texts}) == 1
