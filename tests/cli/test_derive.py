"""``archgrad derive``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Program
from typer.testing import Result

from archgrad.architecture import Architecture


def test_the_runs_own_rule_and_last_epoch_write_the_same_bytes(
    searched: tuple[Path, Result], program: Program, run: Path
) -> None:
    for name in ("architecture.json", "architecture.svg"):
        (run / name).unlink()
    done = program("derive", run)
    assert done.exit_code == 0, done.stderr
    assert f"Written to {run / 'architecture.json'}" in done.stdout
    for name in ("architecture.json", "architecture.svg"):
        assert (run / name).read_bytes() == (searched[0] / name).read_bytes()


def test_another_file_leaves_the_run_as_it_is(program: Program, run: Path, tmp_path: Path) -> None:
    before = (run / "architecture.json").read_bytes()
    out = tmp_path / "one.json"
    done = program("derive", run, "--rule", "top-edges", "--set", "derivation.k=1", "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["path"], printed["architecture"]["made_by"]["rule"]["k"]) == (str(out), 1)
    assert Architecture.load(out).to_dict() == printed["architecture"]
    assert all(len(cell.edges) == 2 for cell in Architecture.load(out).cells.values())
    assert (run / "architecture.json").read_bytes() == before


def test_a_network_of_the_cell_before_is_pointed_out(program: Program, run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"a trained network")
    assert program("derive", run).stderr == ""
    done = program("derive", run, "--set", "derivation.k=1")
    assert "still holds the network of the architecture of before" in done.stderr
    assert f"archgrad train {run} --run DIR" in done.stdout


def test_an_epoch_that_is_not_there_is_said(program: Program, run: Path) -> None:
    done = program("derive", run, "--epoch", 7)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no checkpoint of epoch 7. There are: 1." in done.stderr
