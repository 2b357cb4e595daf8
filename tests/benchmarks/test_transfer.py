"""The benchmark of transfer trains the given cell, random ones and one searched on the task alike, and goes on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.transfer import load_idx, main, read_task

import archgrad


@pytest.fixture
def idx(tmp_path: Path) -> Path:
    """Return a folder with few images in the format of MNIST; image i is as bright as i."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, count in (("train", 60), ("t10k", 20)):
        pixels = np.repeat(np.arange(count, dtype=np.uint8), 28 * 28).tobytes()
        labels = (np.arange(count) % 2).astype(np.uint8).tobytes()
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + pixels))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels))
    return folder


def test_the_format_of_mnist_is_read(idx: Path) -> None:
    images, labels = load_idx(idx, 8)["train"]
    assert images.shape == (60, 1, 8, 8)
    assert torch.equal(images[:, 0, 4, 4], torch.arange(60, dtype=torch.uint8))
    assert labels.tolist() == [0, 1] * 30


def test_a_task_has_settings_of_its_own() -> None:
    assert read_task("large=cifar10:PATH,data.size=64,data.flip=false") == (
        "large",
        "cifar10:PATH",
        {"data.size": 64, "data.flip": False},
    )


def test_all_cells_are_trained_alike_and_once(idx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = tmp_path / "cell.json"
    archgrad.search("random", data="digits", seed=5, settings={"space.nodes": 1}).architecture.save(cell)
    words = [str(cell), "--task", f"small=idx:{idx},data.size=8", "--random", "1", "--search-epochs", "1"]
    words += ["--epochs", "1", "--cells", "1", "--channels", "2", "--output", str(tmp_path / "runs")]
    words += ["--search", '{"data.batch": 8}', "--train", '{"train.batch": 8}']
    main(words)
    rows = json.loads((tmp_path / "runs" / "transfer.json").read_text())
    assert [row["cell"] for row in rows] == ["given", "searched here", "random 0"]
    assert archgrad.Architecture.load(tmp_path / "runs" / "small-given-trained-s0" / "architecture.json").to_dict() == (
        archgrad.Architecture.load(cell).to_dict()
    )
    first = capsys.readouterr().out
    for cut_off in ("small-random-0/architecture.json", "small-searched-here-trained-s0/model.safetensors"):
        (tmp_path / "runs" / cut_off).unlink()
    main(words)
    assert capsys.readouterr().out == first
