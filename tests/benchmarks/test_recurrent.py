"""The benchmark of recurrent supernets measures both evaluations and the products, on series and on text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.recurrent import main

TINY = ["--steps", "4", "--batch", "3", "--hidden", "4", "--rounds", "1"]


@pytest.mark.parametrize("more", [["--size", "forecast"], ["--size", "ptb", "--words", "20"]], ids=["series", "text"])
def test_every_variant_has_its_time_and_its_memory(more: list[str], tmp_path: Path) -> None:
    main([*more, *TINY, "--variants", "fast", "--json", str(tmp_path / "found.json")])
    lines = json.loads((tmp_path / "found.json").read_text())["lines"]
    assert [line["variant"] for line in lines] == ["fast", "products"]
    assert lines[0]["choice"] > 0 and lines[0]["weight"] > lines[1]["weight"] > 0
    assert lines[0]["peak_mib"] >= 0 and lines[1]["peak_mib"] is None
