"""Two processes average what they compute and end with the same choices; one process goes its way unhindered."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archgrad.processes import Processes, agree, average_gradients, join_processes, share_buffers

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run the script in two processes as ``torchrun`` would, and return what they wrote."""
    folder = tmp_path_factory.mktemp("reports")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "REPORTS": str(folder)}
    common |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        output = [child.communicate(timeout=240)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], "\n".join(output)
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


def test_the_processes_know_their_places(reports: list[dict[str, Any]]) -> None:
    assert [(r["rank"], r["world"], r["main"]) for r in reports] == [(0, 2, True), (1, 2, False)]


def test_gradients_are_averaged_and_missing_ones_count_as_zero(reports: list[dict[str, Any]]) -> None:
    expected = [
        [[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]],
        [1.0] * 4,  # one process had none
        [1.5, 1.5e-12],
        1.0,
        [0.0],  # neither had one
    ]
    for report in reports:
        for found, value in zip(report["averages"]["values"], expected, strict=True):
            torch.testing.assert_close(torch.tensor(found), torch.tensor(value))
        assert report["averages"]["dtypes"] == [f"torch.float{n}" for n in (32, 32, 64, 32, 32)]


def test_processes_agree_when_any_of_them_raises_a_flag(reports: list[dict[str, Any]]) -> None:
    assert [report["averages"]["agreed"] for report in reports] == [[False, True, True]] * 2


def test_buffers_are_the_first_processes(reports: list[dict[str, Any]]) -> None:
    assert [report["shared"] for report in reports] == [[5.0] * 3] * 2


def test_rows_come_together_in_the_order_in_which_they_are_shared(
    reports: list[dict[str, Any]],
) -> None:
    for rank, report in enumerate(reports):
        assert report["gathered"] == [[[1.0], [2.0], [3.0], [4.0]], [[1.0 + rank], [3.0 + rank]]]


def test_a_search_ends_with_the_same_choices_and_weights_in_both(reports: list[dict[str, Any]]) -> None:
    first, second = (report["search"] for report in reports)
    assert first["steps"] == second["steps"] >= 2
    assert first["losses"] != second["losses"]  # each saw its own share of the batches
    assert first["architecture"] == second["architecture"]
    assert first["numbers"].keys() == second["numbers"].keys()
    for name, values in first["numbers"].items():
        assert values == second["numbers"][name], name
    assert any(name.endswith("logits") for name in first["numbers"])


def test_a_loss_that_is_not_finite_in_one_process_stops_both(reports: list[dict[str, Any]]) -> None:
    assert [report["stopped"] for report in reports] == ["NotFiniteError"] * 2


def test_one_process_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_processes("cpu") == Processes(0, 1)
    assert Processes().main
    gradient = torch.ones(2)
    found = average_gradients([gradient, None], [torch.zeros(2), torch.zeros(3)])
    assert found[0] is gradient
    assert found[1] is None
    assert Processes().gather(gradient) is gradient and Processes(1, 2).share(torch.arange(4)).tolist() == [1, 3]
    assert agree(True) is True
    assert agree(False) is False
    norm = nn.BatchNorm1d(2)
    share_buffers(norm)
    assert torch.equal(dict(norm.named_buffers())["running_mean"], torch.zeros(2))
