"""Searches and shown cells beside a table of trained cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.test_cell_table import written
from typer.testing import CliRunner

import archgrad
from archgrad.cli.app import app
from archgrad.errors import InputError
from archgrad.space.nasbench201_strings import all_strings, read_string, write_string
from archgrad.tasks.cell_table import CellTable, write_table

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
TINY: dict[str, Any] = {"supernet.cells": 3, "supernet.channels": 2, "data.batch": 16}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a whole table with made-up figures."""
    rows = [{"index": k, "arch": text, "cifar10_test_200": k / 200} for k, text in enumerate(all_strings())]
    return write_table(tmp_path_factory.mktemp("table") / "cells.csv.gz", rows, ["cifar10_test_200"])


def test_a_search_looks_its_cells_up(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
    labels = torch.arange(40) % 2
    images = torch.rand(40, 1, 8, 8) / 2 + labels.view(-1, 1, 1, 1) / 2
    words: dict[str, Any] = {"data": (images, labels), "settings": TINY}
    run = tmp_path / "run"
    found = archgrad.search("darts", space="nasbench201", epochs=2, run=run, table=table, metrics={}, **words)
    whole = CellTable(table)
    assert found.table is not None
    assert found.table["string"] == write_string(found.architecture)
    assert found.table["figures"] == {"cifar10_test_200": whole.value(found.architecture)}
    assert found.to_dict()["table"] == found.table
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["table"] for event in epochs] == [
        whole.figures_of(archgrad.Architecture.from_dict(event["architecture"])) for event in epochs
    ]
    with pytest.raises(InputError, match="--space nasbench201"):
        archgrad.search("darts", table=table, **words)
    trained = archgrad.train(run, data=words["data"], settings={"train.epochs": 1, "train.cells": 3}, channels=2)
    assert trained.parameters > 0
    assert archgrad.evaluate(run, data=words["data"])["loss"] > 0
    assert archgrad.export(run, to="python", out=tmp_path / "out").max_difference < 1e-5


def test_a_cell_is_shown_by_its_string(table: Path) -> None:
    shown = archgrad.show(BEST, table=table)
    assert (shown["name"], shown["string"]) == (BEST, BEST)
    assert shown["network"] == {"cells": 15, "channels": 16, "input_shape": [3, 32, 32], "classes": 10}
    assert shown["table"]["rank"] == 15_625 - list(all_strings()).index(BEST)
    assert archgrad.Architecture.from_dict(shown["architecture"]).cells == read_string(BEST).cells
    assert archgrad.show("DARTS_V2", cells=3, channels=4)["string"] is None


@pytest.mark.parametrize(
    ("operation", "parameters", "flops"), [("skip_connect", 73_306, 7.78), ("nor_conv_3x3", 1_531_546, 220.12)]
)
def test_networks_are_the_benchmarks(operation: str, parameters: int, flops: float) -> None:
    text = "+".join("|" + "|".join(f"{operation}~{k}" for k in range(node)) + "|" for node in (1, 2, 3))
    shown = archgrad.show(text)  # parameters and multiply-adds as published (arXiv 2001.00326, section 2.4)
    assert shown["parameters"] == parameters
    assert round(shown["flops"] / 1e6, 2) == flops


def test_the_command_line_shows_what_the_table_says(table: Path) -> None:
    result = CliRunner().invoke(app, ["show", BEST, "--table", str(table), "--cells", "3", "--channels", "4"])
    assert result.exit_code == 0
    assert f"rank {15_625 - list(all_strings()).index(BEST):,} of 15,625" in result.stdout
    assert BEST in result.stdout.replace("\n", "")


def test_the_verb_makes_a_table_of_a_published_file(tmp_path: Path) -> None:
    output = tmp_path / "made.csv.gz"
    result = CliRunner().invoke(app, ["table", str(written("bz2", tmp_path)), "--output", str(output), "--json"])
    assert json.loads(result.stdout) == {"table": str(output), "cells": 2}
    assert CellTable(output).figures == ("cifar10_test_200", "cifar10_valid_200", "cifar10_test_12", "cifar10_valid_12")
