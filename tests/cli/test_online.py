"""``archgrad search --online`` reads a stream once and goes on with appended rows."""

from __future__ import annotations

import json
from pathlib import Path

from tests.api.test_online import SETTINGS, written
from tests.cli.conftest import Program

WORDS = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]


def test_a_stream_is_read_and_goes_on_with_more_rows(program: Program, tmp_path: Path) -> None:
    path, run = tmp_path / "series.csv", tmp_path / "run"
    written(path, 60)
    first = program("search", "growing", "--data", f"csv:{path}", "--online", *WORDS, "--run", run, "--json")
    assert first.exit_code == 0, first.stderr
    plain = json.loads(first.stdout)
    assert plain["recipe"] == "growing"
    assert plain["tested"] < plain["position"]
    written(path, 90)
    then = program("search", "--online", "--resume", "--run", run)
    assert then.exit_code == 0, then.stderr
    assert "windows tested, then learned" in then.stdout
    assert "--online --resume" in then.stdout


def test_what_makes_no_sense_on_a_stream_is_refused(program: Program, tmp_path: Path) -> None:
    for words in (["--epochs", "3"], ["--dry-run"], ["--track", "tensorboard"]):
        result = program("search", "growing", "--data", "csv:x.csv", "--online", *words, "--run", tmp_path / "run")
        assert result.exit_code == 2
        assert "--online reads a stream once" in result.stderr
