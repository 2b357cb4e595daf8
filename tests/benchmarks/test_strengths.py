"""The benchmark of latency strengths goes on where an earlier call ended, and measures all that was found."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

import archgrad
from benchmarks import strengths

CELL = {0.0: "DARTS_V2", 0.1: "SNAS_AGGRESSIVE"}


def found(strength: float, seed: int, options: Namespace) -> dict[str, Any]:
    """Stand for a search."""
    size = {"cells": 3, "channels": 2, "classes": 10, "input_shape": [1, 8, 8]}
    cell = archgrad.published(CELL[strength]).to_dict()
    return {"strength": strength, "seed": seed, "validation": 0.5, "size": size, "architecture": cell}


def test_an_earlier_call_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[float, int]] = []

    def searched(strength: float, seed: int, options: Namespace) -> dict[str, Any]:
        calls.append((strength, seed))
        return found(strength, seed, options)

    monkeypatch.setattr(strengths, "searched", searched)
    words = ["--turns", "1", "--batch", "2", "--output", str(tmp_path)]
    strengths.main(["--strengths", "0.1", *words])
    strengths.main(["--strengths", "0", "0.1", *words])
    assert calls == [(0.1, 0), (0.0, 0)]
    rows = json.loads((tmp_path / "strengths.json").read_text())["rows"]
    assert [row["strength"] for row in rows] == [0.0, 0.1]
    assert rows[0]["flops"] != rows[1]["flops"]
    assert all(row["milliseconds"] > 0 for row in rows)
    assert (tmp_path / "strengths.svg").read_text().lstrip().startswith("<?xml")
