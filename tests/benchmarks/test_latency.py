"""The latency benchmark: random cells that differ, ranks, and a report with everything in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.latency import main, random_cells, rank_correlation


def test_random_cells_differ_and_are_the_same_again() -> None:
    cells = random_cells(5, seed=0)
    assert len({cell.to_json() for cell in cells}) == 5
    assert random_cells(5, seed=0) == cells
    for cell in cells:
        for kind in cell.cells.values():
            assert len(kind.edges) == 8
            assert all(edge.operation != "none" for edge in kind.edges)


def test_ranks_are_compared_and_not_values() -> None:
    assert rank_correlation([1, 2, 3, 4], [0.1, 1, 10, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)


def test_everything_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARCHGRAD_CACHE", str(tmp_path / "cache"))
    sizes = "--layers 1 --channels 2 --side 4 --batch 1 --rounds 2 --device cpu"
    main([*sizes.split(), "--cells", "3", "--output", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["predicted_ms"]) == len(found["measured_ms"]) == len(found["flops"]) == 3
    assert found["rank_correlation"] == pytest.approx(rank_correlation(found["predicted_ms"], found["measured_ms"]))
    assert f"{found['rank_correlation']:.3f} (3 cells)" in capsys.readouterr().out
