"""``archgrad search``: what it prints and writes, and every way to get it wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from tests.cli.conftest import TINY, Program
from typer.testing import Result

from archgrad.architecture import Architecture

CONTRACT = (
    "recipe space data seed epochs run architecture search_seconds peak_memory_mb supernet_parameters validation "
    "derived_validation derived_validation_weighted"
).split()


def test_json_is_one_object_with_the_keys_of_the_contract(searched: tuple[Path, Result]) -> None:
    run, done = searched
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert set(CONTRACT) <= set(result)
    assert (result["recipe"], result["space"], result["data"]) == ("darts", "darts", "digits")
    assert (result["seed"], result["epochs"], result["run"]) == (3, 1, str(run))
    assert result["architecture"] == json.loads((run / "architecture.json").read_text())
    for name in ("validation", "derived_validation", "derived_validation_weighted"):
        assert 0 <= result[name]["accuracy"] <= 1


def test_progress_is_on_stderr(searched: tuple[Path, Result]) -> None:
    assert searched[1].stderr.startswith("search epoch 1/1: loss ")
    assert searched[1].stderr.count("\n") == 1


def test_the_run_directory_is_that_of_the_contract(searched: tuple[Path, Result]) -> None:
    run, _ = searched
    written = {path.name for path in run.iterdir()}
    assert written == {"config.yaml", "log.jsonl", "architecture.json", "architecture.svg", "checkpoints"}
    command = yaml.safe_load((run / "config.yaml").read_text())["command"]
    assert command == ["search", "darts", *TINY, "--seed", "3", "--run", str(run), "--json"]


def test_people_get_the_cell_the_figures_and_what_to_do_next(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (program("search", "random", *TINY, "--seed", 5) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "normal cell" in first.stdout and "reduce cell" in first.stdout
    for words in ("validation, derived cell", "accuracy", "parameters of the supernet", "seconds"):
        assert words in first.stdout
    assert "Next: archgrad train runs/random-digits-s5\n" in first.stdout
    assert "Next: archgrad train runs/random-digits-s5-2\n" in second.stdout
    cells = [(tmp_path / "runs" / name / "architecture.json").read_bytes() for name in os.listdir("runs")]
    assert len(cells) == 2 and cells[0] == cells[1]


def test_a_dry_run_prints_sizes_and_memory_and_writes_nothing(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = json.loads(program("search", *TINY, "--dry-run", "--json").stdout)
    assert (plan["epochs"], plan["cells"], plan["channels"], plan["input_shape"]) == (1, 1, 2, [1, 8, 8])
    assert plan["memory_mb"]["total"] > 0
    shown = program("search", *TINY, "--dry-run").stdout
    assert "memory in all" in shown and f"{plan['supernet_parameters']:,}" in shown
    assert "cells 1, channels 2" in shown and "10 classes" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_on_series_speaks_of_units_and_of_no_classes(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = program("search", "darts", "--data", "macro", "--set", "supernet.hidden=8", "--dry-run").stdout
    assert "space darts-rnn, 8 units" in shown and "classes" not in shown and "channels" not in shown


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["dartz"], ["Unknown recipe 'dartz'. Did you mean 'darts'?", "random"]),
        (["--space", "dart"], ["Unknown space 'dart'. Did you mean 'darts'?"]),
        (["--set", "space.operations=[sep_conv_3x4]"], ["operation 'sep_conv_3x4'", "Did you mean 'sep_conv_3x3'?"]),
        (["--set", "supernet.cels=3"], ["supernet.cels", "Did you mean supernet.cells?"]),
        (["--set", "supernet.cells"], ["not of the form key=value"]),
        (["--epochs", "0"], ["epochs must be a whole number of at least 1; got 0"]),
        (["--seed", "-1"], ["seed must be", "got -1"]),
        (["--data", "digit"], ["Unknown data 'digit'. Did you mean 'digits'?"]),
        (["--data", "cifar10:/nowhere"], ["/nowhere"]),
        (["--data", "imagefolder:/nowhere"], ["/nowhere"]),
        (["--set", "data.crop=3"], ["data.crop"]),
        (["--config", "nowhere.yaml"], ["nowhere.yaml cannot be read"]),
        (["--plugin", "no_such_module"], ["plugin 'no_such_module' cannot be imported"]),
        (["--device", "gpu"], ["device must be one of 'auto', 'cpu', 'cuda'"]),
        (["--resume"], ["--resume needs the run"]),
        (["--resume", "--run", "nowhere"], ["The run nowhere does not exist"]),
        (["--dry-run", "--resume"], ["leave --resume out"]),
        (
            ["--epochs", "0", "--set", "supernet.cels=3", "--set", "relaxation=sofmax", "--set", "weights.rate=fast"],
            ["4 problems", "supernet.cells", "softmax", "epochs", "weights.rate"],
        ),
    ],
    ids=lambda value: " ".join(value[:2]),
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_wrong_input_leaves_with_2_and_nothing_behind(
    program: Program,
    words: list[str],
    messages: list[str],
    form: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = program("search", *words, *form)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert all(message in done.stderr for message in messages), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_everything_wrong_in_a_file_is_listed_at_once(program: Program, tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text("epochs: many\nsupernet: {cels: 3}\nhypergradient: unroled\n")
    done = program("search", "--config", tmp_path / "some.yaml", "--run", tmp_path / "run")
    assert done.exit_code == 2
    for words in ("3 problems", "epochs must be", "Did you mean supernet.cells?", "Did you mean 'unrolled'?"):
        assert words in done.stderr
    (tmp_path / "bad.yaml").write_text("epochs: 3\n  seed: 4\n")
    done = program("search", "--config", tmp_path / "bad.yaml")
    assert (done.exit_code, "line 2" in done.stderr) == (2, True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said(program: Program, tmp_path: Path) -> None:
    done = program("search", *TINY, "--device", "cuda", "--run", tmp_path / "run")
    assert done.exit_code == 2
    assert "no device 'cuda' here. Available: auto, cpu" in done.stderr
    assert not (tmp_path / "run").exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_exists_is_left_as_it_is(program: Program, run: Path) -> None:
    before = contents(run)
    done = program("search", *TINY, "--run", run)
    assert done.exit_code == 2
    assert "already; continue it with --resume or name another --run" in done.stderr
    assert contents(run) == before


@pytest.mark.parametrize("verb", [["search", "--resume", "--run"], ["derive"], ["train"], ["evaluate"], ["show"]])
def test_a_run_of_another_version_is_said(program: Program, run: Path, verb: list[str]) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("format: 1", "format: 99").replace("version: 0", "version: 9"))
    before = contents(run)
    done = program(*verb, run)
    assert done.exit_code == 2
    assert "format 99" in done.stderr and "archgrad 9" in done.stderr
    assert contents(run) == before


def test_a_disk_that_is_full_is_said_and_nothing_is_lost(
    program: Program, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run)

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    done = program("derive", run, "--set", "derivation.k=1")
    assert done.exit_code == 1
    assert "The disk is full" in done.stderr and "intact" in done.stderr
    assert contents(run) == before


def test_a_plugin_brings_its_own_recipe(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import copy

    from archgrad import registry

    monkeypatch.setattr(registry, "PARTS", copy.deepcopy(registry.PARTS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_recipe_for_the_test.py").write_text(
        "print('noise')\nimport archgrad\n"
        "archgrad.register('recipe', 'mine', archgrad.Recipe('mine', 'my own', '', {'epochs': 2}))\n"
    )
    plugin = ("--plugin", "own_recipe_for_the_test")
    done = program("search", "mine", "--set", "supernet.cells=1", "--dry-run", "--json", *plugin)
    assert done.exit_code == 0, done.output
    assert (json.loads(done.stdout)["recipe"], json.loads(done.stdout)["epochs"]) == ("mine", 2)
    assert json.loads(program("list", "recipes", "--json", *plugin).stdout)["recipes"]["mine"] == "my own"


def test_ctrl_c_leaves_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "archgrad", "search", *TINY[:-1], "40", "--run", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 240
        while not (run / "checkpoints" / "epoch-0001").exists() and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (130, ""), err
    assert f"Go on with: archgrad search --resume --run {run}" in err
    assert "Traceback" not in err
    assert list((run / "checkpoints").glob("interrupted-*"))


def test_resume_passes_over_a_truncated_checkpoint_and_names_it(program: Program, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert program("search", *TINY[:-1], 2, "--run", run).exit_code == 0
    found = (run / "architecture.json").read_bytes()
    (run / "architecture.json").unlink()
    heavy = run / "checkpoints" / "epoch-0002" / "state.safetensors"
    heavy.write_bytes(heavy.read_bytes()[:99])
    done = program("search", "--resume", "--run", run)
    assert done.exit_code == 0, done.stderr
    assert "epoch-0002 is damaged: state.safetensors has 99 bytes" in done.stderr
    assert "search epoch 2/2" in done.stderr and "search epoch 1/2" not in done.stderr
    assert (run / "architecture.json").read_bytes() == found


def test_a_search_by_its_config_is_the_same_search(
    searched: tuple[Path, Result], program: Program, tmp_path: Path
) -> None:
    done = program("search", "--config", searched[0] / "config.yaml", "--run", tmp_path / "again", "--json")
    assert done.exit_code == 0, done.stderr
    found = Architecture.from_dict(json.loads(done.stdout)["architecture"])
    assert found == Architecture.load(searched[0] / "architecture.json")
