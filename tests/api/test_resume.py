"""A search that is killed and resumed ends as one that was never interrupted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import archgrad
from archgrad.runs import checkpoint

SETTINGS: dict[str, Any] = {
    "supernet.cells": 1,
    "supernet.channels": 2,
    "data.limit": 150,
    "data.batch": 16,
    "log_every": 1,
}
TIMES = {"seconds", "peak_memory_mb", "search_seconds", "run"}


def without_times(value: Any) -> Any:
    """Drop what differs between equal runs: times, memory, the place on the disk."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return value


def log_of(run: Path) -> list[Any]:
    return [without_times(json.loads(line)) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    archgrad.search("darts", data="digits", epochs=3, seed=3, settings=SETTINGS, run=run)
    return run


def steps_logged(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_text().count('"event":"step"') if log.exists() else 0


def killed_after(steps: int, run: Path, code: str, patience: float = 120) -> None:
    """Run a program in a process of its own and kill it as soon as its run has logged so many steps."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + patience
        while steps_logged(run) < steps and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "the search ended before it could be killed"


def test_killed_at_a_random_moment_and_resumed(whole: Path, tmp_path: Path) -> None:
    run, after = tmp_path / "run", random.Random(os.getpid()).randint(1, 10)
    words = f"data='digits', epochs=3, seed=3, settings={SETTINGS!r}, run={str(run)!r}"
    code = f"import archgrad; archgrad.search('darts', {words})"
    killed_after(after, run, code)
    archgrad.search(run=run, resume=True)
    assert (run / "architecture.json").read_bytes() == (whole / "architecture.json").read_bytes()
    assert log_of(run) == log_of(whole)


def test_interrupted_between_two_steps_and_resumed(whole: Path, tmp_path: Path) -> None:
    run, steps = tmp_path / "run", []

    def interrupt(kind: str, state: Any, record: Any) -> None:
        steps.append(state.step)
        if kind == "step" and state.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="--resume"):
        archgrad.search("darts", data="digits", epochs=3, seed=3, settings=SETTINGS, run=run, progress=interrupt)
    assert steps[-1] == 6
    assert checkpoint.names(run / "checkpoints", "interrupted-") == ["interrupted-0006"]
    archgrad.search(run=run, resume=True)
    assert (run / "architecture.json").read_bytes() == (whole / "architecture.json").read_bytes()
    assert log_of(run) == log_of(whole)
    assert not checkpoint.names(run / "checkpoints", "interrupted-")


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        archgrad.search(
            "darts", data="digits", epochs=3, seed=3, settings=SETTINGS, run=run, on_epoch=lambda s: _stop_at(s, 2)
        )
    heavy = run / "checkpoints" / "epoch-0002" / "state.safetensors"
    heavy.write_bytes(heavy.read_bytes()[:100])
    result = archgrad.search(run=run, resume=True)
    assert any("epoch-0002" in warning for warning in result.warnings)
    assert (run / "architecture.json").read_bytes() == (whole / "architecture.json").read_bytes()


def _stop_at(state: Any, epoch: int) -> None:
    if state.epoch == epoch:
        raise KeyboardInterrupt


def test_a_resumed_run_goes_on_as_it_began(whole: Path) -> None:
    with pytest.raises(archgrad.InputError, match="another epochs"):
        archgrad.search(run=whole, resume=True, epochs=9)
    with pytest.raises(archgrad.InputError, match="needs the run"):
        archgrad.search("darts", resume=True)


def test_the_configuration_alone_reproduces_the_run(whole: Path, tmp_path: Path) -> None:
    archgrad.search(config=whole / "config.yaml", run=tmp_path / "again")
    assert (tmp_path / "again" / "architecture.json").read_bytes() == (whole / "architecture.json").read_bytes()
    assert log_of(tmp_path / "again") == log_of(whole)


def test_a_run_that_exists_is_not_overwritten(whole: Path) -> None:
    before = log_of(whole)
    with pytest.raises(archgrad.InputError, match="--resume"):
        archgrad.search("darts", data="digits", run=whole)
    assert log_of(whole) == before
