"""The benchmark of streams: cells and the LSTM are tested on the same windows, and memory is watched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.stream import draw, main, watched_memory
from tests.api.test_online import written

SIZES = ["--nodes", "2", "--start", "1", "--hidden", "3", "--window", "6", "--horizon", "2", "--batch", "4"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of three arms on a short stream."""
    folder = tmp_path_factory.mktemp("stream")
    written(folder / "series.csv", 220)
    for arm in ("growing", "large", "lstm"):
        words = [*SIZES, "--settings", '{"growth.every": 1}'] if arm == "growing" else SIZES
        main([str(folder / "series.csv"), *words, "--output", str(folder), "--arm", arm])
    return folder


def test_all_arms_are_tested_on_the_same_windows(found: Path) -> None:
    rows = {arm: json.loads((found / f"{arm}.json").read_text()) for arm in ("growing", "large", "lstm")}
    assert len({row["tested"] for row in rows.values()}) == 1
    assert {position for position, _ in rows["large"]["blocks"]} == {position for position, _ in rows["lstm"]["blocks"]}
    assert rows["growing"]["growths"]
    assert rows["lstm"]["parameters"] == pytest.approx(rows["large"]["parameters"], rel=0.5)
    draw(rows, found / "stream.svg")
    assert (found / "stream.svg").stat().st_size > 1000


def test_memory_is_looked_at_again_and_again() -> None:
    with watched_memory(every=0.01) as memory:
        block = bytearray(64 * 2**20)
        while len(memory) < 3:
            pass
        del block
    assert len(memory) >= 4
    assert all(held > 10 for _, held in memory)
