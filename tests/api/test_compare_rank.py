"""What a table says in a comparison, and how good a judge a supernet is by it."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

import archgrad
from archgrad.api.compare_rank import correlations, judged_cells, random_cells
from archgrad.engine.derivations.ranking import support_of_cell
from archgrad.errors import InputError
from archgrad.network.image import ImageNetwork
from archgrad.runs.log import read
from archgrad.space import get
from archgrad.space.nasbench201_strings import all_strings, read_string
from archgrad.supernet.image import ImageSupernet
from archgrad.supernet.inherit import inherit
from archgrad.tasks.cell_table import CellTable, write_table

TINY: dict[str, Any] = {"supernet.cells": 1, "supernet.channels": 2, "data.limit": 60, "data.batch": 20}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CellTable:
    rows = [{"index": k, "arch": text, "x": float(k % 97)} for k, text in enumerate(all_strings())]
    return CellTable(write_table(tmp_path_factory.mktemp("table") / "t.csv", rows, ["x"]))


def test_every_run_gets_the_same_random_cells(table: CellTable) -> None:
    cells = random_cells(table, 30)
    assert len(set(cells)) == 30
    assert set(cells) <= set(table.rows)
    assert random_cells(CellTable(table.path), 40)[:30] == cells
    assert len(random_cells(table, 20_000)) == len(table.rows)


def test_the_correlations_are_counted_pair_by_pair(table: CellTable) -> None:
    cells = random_cells(table, 12)
    found: dict[str, list[dict[str, Any]]] = {
        "cells": [{"string": text, "loss": float(k * 7 % 5)} for k, text in enumerate(cells)]
    }
    pairs = [(cell["loss"], float(table.value(read_string(cell["string"])) or 0.0)) for cell in found["cells"]]
    signs = [((a > c) - (a < c), (b > d) - (b < d)) for (a, b), (c, d) in combinations(pairs, 2)]
    first, second = (sum(sign[k] != 0 for sign in signs) for k in (0, 1))
    tau = sum(a * b for a, b in signs) / (first * second) ** 0.5  # tau-b: ties count in neither direction
    ranks = [
        torch.tensor([sum(x < y for x in of) + (sum(x == y for x in of) + 1) / 2 for y in of])
        for of in zip(*pairs, strict=True)
    ]
    rho = float(torch.corrcoef(torch.stack(ranks))[0, 1])
    assert correlations(found, table, "loss") == pytest.approx({"kendall": tau, "spearman": rho}, abs=1e-6)
    opposite = correlations(found, table, "loss", -1)
    assert opposite == pytest.approx({"kendall": -tau, "spearman": -rho}, abs=1e-6)
    constant: dict[str, Any] = {"cells": [{"string": text, "loss": 1.0} for text in cells]}
    assert correlations(constant, table, "loss") == {"kendall": None, "spearman": None}


def test_a_support_is_what_the_architecture_says() -> None:
    cell, architecture = get("nasbench201", none=False).cells["normal"], read_string("|none~0|+|nor_conv_1x1~0|none~1|")
    support = support_of_cell(
        read_string("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"), "normal", cell
    )
    assert [row.index(True) if any(row) else None for row in support] == [0, None, None, None, None, 3]
    with pytest.raises(InputError, match="has what its supernet lacks.*conv_1x1"):
        support_of_cell(architecture, "normal", get("nasbench201", nodes=1).cells["normal"])


def test_a_comparison_tells_what_found_cells_are_worth(
    table: CellTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
    words: dict[str, Any] = {"space": "nasbench201", "seeds": 1, "epochs": 1, "retrain": False, "settings": TINY}
    given: dict[str, Any] = words | {"table": table.path, "rank_correlation": 3, "run": tmp_path / "c"}
    result = archgrad.compare(["entrannas"], **given)
    (row,) = result.runs
    folder = tmp_path / "c" / "entrannas-s0"
    found = archgrad.Architecture.load(folder / "architecture.json")
    assert row["table"] == table.value(found)
    epochs = [event for event in read(folder / "log.jsonl") if event["event"] == "epoch"]
    assert epochs[-1]["table"] == {"x": row["table"]}  # every epoch's cell, for what a search has found by when
    ranking = json.loads((folder / "ranking.json").read_text())
    assert [cell["string"] for cell in ranking["cells"]] == random_cells(table, 3)
    assert {name: row[name] for name in ("kendall", "spearman")} == correlations(ranking, table, row["metric"])
    assert result.table[0]["table"]["best"] == row["table"]
    # a judged cell is the derived network that inherits
    state = archgrad.search(run=folder, resume=True).state
    again = judged_cells(state, table, 3)
    assert again == ranking
    assert isinstance(state.supernet, ImageSupernet)
    assert isinstance(inherit(state.supernet, read_string(random_cells(table, 1)[0])), ImageNetwork)
    for wrong, message in (({"table": None}, "needs the truth"), ({"space": "darts"}, "--space nasbench201")):
        with pytest.raises(InputError, match=message):
            archgrad.compare(["entrannas"], **given | wrong)
