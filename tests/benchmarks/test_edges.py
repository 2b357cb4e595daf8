"""The benchmark leaves edges out and compares what is lost with what they weigh."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.edges import against_first, by_level, correlation, importance, main, strength

import archgrad
from archgrad.choices import Mixing
from archgrad.engine.derivations.selection import final_expected
from archgrad.space.cells import CellSpace

SETTINGS = {"space.nodes": 1, "supernet.cells": 2, "supernet.channels": 2, "data.limit": 200, "data.batch": 32}


def test_an_edge_is_as_strong_as_its_strongest_living_candidate() -> None:
    cell = CellSpace(inputs=2, nodes=1, operations=("none", "skip_connect", "max_pool_3x3"))
    mixing = Mixing(torch.tensor([[0.9, 0.2, 0.3], [0.5, 0.4, 0.1]]), ((True, True, False), (True, False, False)))
    assert strength(mixing, 0, cell) == pytest.approx(0.2)
    assert strength(mixing, 1, cell) is None


def test_what_orders_edges_alike_correlates_fully() -> None:
    assert correlation([{"weight": w, "rise": w**3} for w in (0.1, 0.5, 0.2)]) == pytest.approx(1)
    assert correlation([{"weight": 0.1, "rise": r} for r in (1.0, 2.0)]) is None


def test_tables_are_grouped_by_name_or_by_a_level_of_it() -> None:
    names = ["soft-slow-s0", "soft-quick-s0", "hard-slow-s0", "hard-slow-s1"]
    rows = [{"run": name, "spearman": value} for name, value in zip(names, [0.1, 0.2, 0.3, None], strict=True)]
    assert by_level(rows, None) == {"soft-slow": [0.1], "soft-quick": [0.2], "hard-slow": [0.3]}
    assert by_level(rows, 0) == {"soft": [0.1, 0.2], "hard": [0.3]}
    assert by_level(rows, 1) == {"slow": [0.1, 0.3], "quick": [0.2]}


def test_levels_are_compared_in_tables_that_are_equal_in_all_else() -> None:
    values = {
        "soft-slow-s0": 0.1,
        "hard-slow-s0": 0.4,
        "hard-slow-s1": 0.9,
        "soft-quick-s0": -0.5,
        "hard-quick-s0": 0.0,
    }
    rows = [{"run": name, "kind": "normal", "spearman": value} for name, value in values.items()]
    assert against_first(rows, 0) == {"hard - soft": pytest.approx([0.3, 0.5])}
    assert against_first(rows, 1) == {"quick - slow": pytest.approx([-0.6, -0.4])}


def test_a_run_is_judged_and_stays_what_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = archgrad.search("darts", data="digits", epochs=1, run=tmp_path / "darts-s0", settings=SETTINGS)
    state = found.state
    with torch.no_grad():
        dict(state.choices.items())["normal"].logits[0, 0] = 50.0  # none alone: the edge carries nothing
    before = {name: buffer.clone() for name, buffer in state.supernet.named_buffers()}
    edges = importance(state, "normal", batches=1)
    assert [each["edge"] for each in edges] == [[0, 2], [1, 2]]
    assert edges[0]["rise"] == pytest.approx(0, abs=1e-6)
    assert abs(edges[1]["rise"]) > 1e-4
    assert edges[1]["weight"] == pytest.approx(float(final_expected(state)["normal"].weights[1, 1:].max()))
    assert all(torch.equal(buffer, before[name]) for name, buffer in state.supernet.named_buffers())
    main([str(tmp_path / "darts-s0"), "--batches", "1", "--output", str(tmp_path / "edges.json")])
    assert "darts: " in capsys.readouterr().out
    main([str(tmp_path / "edges.json"), "--output", str(tmp_path / "again.json"), "--level", "0"])
    assert (tmp_path / "again.json").read_text() == (tmp_path / "edges.json").read_text()
    assert "darts: " in capsys.readouterr().out
