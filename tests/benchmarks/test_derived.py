"""The benchmark of derived recurrent cells measures and counts both ways, and its cell of two inputs is a GRU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.derived import main


@pytest.mark.parametrize("cell", ["DARTS_RNN_V1", "gru"])
def test_both_ways_have_their_time_and_their_operations(cell: str, tmp_path: Path) -> None:
    sizes = ["--hidden", "4", "--batch", "2", "--steps", "30", "--rounds", "1"]
    main(["--cell", cell, *sizes, "--flush", "--json", str(tmp_path / "found.json")])
    loop, one = json.loads((tmp_path / "found.json").read_text())["lines"]
    assert loop["seconds"] > 0 and one["seconds"] > 0
    assert one["operations"] < loop["operations"]
