"""The speed benchmarks: every figure is there, phases add up, and what is counted is what runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from benchmarks.counting import counted
from benchmarks.search import Phases

from benchmarks import scaling


def test_kernels_views_and_bytes_are_counted() -> None:
    a, b = torch.rand(4, 5), torch.rand(5, 6)
    counts = counted(lambda: (a @ b).t().relu_())
    assert dict(counts.kernels) == {"aten.mm.default": 1, "aten.relu_.default": 1}
    assert counts.views == 1
    assert counts.bytes == 4 * (20 + 30 + 24) + 4 * 24  # a result in place counts once


def test_the_backward_is_counted_too() -> None:
    a = torch.rand(3, requires_grad=True)
    assert counted(lambda: a.exp().sum().backward()).kernels["aten.mul.Tensor"] == 1


def test_nested_phases_count_once() -> None:
    phases = Phases()
    start = time.perf_counter()
    with phases.phase("outer"):
        for _ in range(2):
            phases.timed("inner", time.sleep)(0.01)
    whole = time.perf_counter() - start
    assert phases.found["inner"][2] == 2
    assert phases.found["inner"][0] >= 0.02
    assert phases.found["outer"][0] + phases.found["inner"][0] <= whole


def test_one_size_is_varied_at_a_time() -> None:
    found = scaling.points({"cells": (3, 5), "batch": (8, 16)})
    assert found[0] == ("base", {"cells": 3, "batch": 8})
    assert [sizes for _, sizes in found[1:]] == [{"cells": 5, "batch": 8}, {"cells": 3, "batch": 16}]


def test_the_scaling_table_has_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--cells 1 --channels 2 --nodes 1 --candidates 4 --batch 2 4 --side 4 --rounds 1"
    scaling.main([*small.split(), "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    one, two = found["points"]
    assert two["varied"] == "batch"
    assert two["sizes"]["batch"] == 4
    for variant in scaling.VARIANTS:
        assert two[variant]["kept_mb"] > 1.5 * one[variant]["kept_mb"] > 0
        assert one[variant]["seconds"] > 0
        assert two[variant]["kernels"] == one[variant]["kernels"]
    assert "| batch 4 |" in capsys.readouterr().out
