from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from archgrad._version import __version__
from archgrad.errors import InputError, RunError
from archgrad.runs.config import SearchConfig, resolve
from archgrad.runs.directory import RunDirectory


@pytest.fixture
def config() -> SearchConfig:
    return resolve({"epochs": 3, "seed": 7})


def test_a_run_is_made_once_and_opened_again(tmp_path: Path, config: SearchConfig) -> None:
    RunDirectory.create(tmp_path / "runs" / "first", config)
    run = RunDirectory.open(tmp_path / "runs" / "first")
    assert run.read_config() == config
    written = yaml.safe_load(run.config.read_text())
    assert (written["format"], written["version"]) == (1, __version__)


def test_a_relative_directory_is_written_where_it_is_named(
    tmp_path: Path, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDirectory.create("runs/first", config)
    run.write_text(run.report, "page")
    run.write_text("notes.txt", "note")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["runs/first/config.yaml", "runs/first/notes.txt", "runs/first/report.html"]


def test_its_files_have_the_names_of_the_contract(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    files = [run.config, run.log, run.architecture, run.drawing, run.checkpoints, run.model, run.report]
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        *("config.yaml", "log.jsonl", "architecture.json", "architecture.svg"),
        *("checkpoints", "model.safetensors", "report.html"),
    ]


def test_an_empty_directory_or_one_of_a_crash_before_the_config_is_taken(tmp_path: Path, config: SearchConfig) -> None:
    (tmp_path / ".config.yaml.partial").write_text("form")
    assert RunDirectory.create(tmp_path, config).read_config() == config
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_an_existing_run_is_refused_and_left_alone(tmp_path: Path, config: SearchConfig) -> None:
    RunDirectory.create(tmp_path / "a", config)
    before = (tmp_path / "a" / "config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"a run in .*a already; continue it with --resume or name another --run"):
        RunDirectory.create(tmp_path / "a", resolve({}))
    assert (tmp_path / "a" / "config.yaml").read_bytes() == before


def test_a_directory_of_other_things_is_refused_and_left_alone(tmp_path: Path, config: SearchConfig) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        RunDirectory.create(tmp_path, config)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_where_no_directory_can_be_is_said(tmp_path: Path, config: SearchConfig) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; name another directory"):
        RunDirectory.create(tmp_path / "file", config)
    with pytest.raises(InputError, match="No run can be written to .*: Not a directory"):
        RunDirectory.create(tmp_path / "file" / "run", config)


def test_a_missing_run_is_said_with_the_nearest_one(tmp_path: Path, config: SearchConfig) -> None:
    RunDirectory.create(tmp_path / "digits-0", config)
    with pytest.raises(InputError, match=r"The run .*digts-0 does not exist\. Did you mean .*digits-0\?"):
        RunDirectory.open(tmp_path / "digts-0")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it has no config.yaml"),
        ("a: 1", "was not written by archgrad"),
        ("- 1", "was not written by archgrad"),
        ("format: [", "is no valid YAML at line 1, column 10"),
        ("format: 2\nversion: 9.9.0", "format 2, written by archgrad 9.9.0; this one reads format 1"),
    ],
)
def test_what_is_no_run_of_this_format_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(InputError) as caught:
        RunDirectory.open(tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text("{}")
    with pytest.raises(InputError, match="is a file, not a run directory"):
        RunDirectory.open(tmp_path / "cell.json")


def test_an_edited_config_is_checked_when_it_is_read(tmp_path: Path, config: SearchConfig) -> None:
    run = RunDirectory.create(tmp_path, config)
    run.config.write_text(run.config.read_text().replace("epochs: 3", "epochs: 0").replace("seed:", "sed:"))
    with pytest.raises(InputError, match=r"(?s)config\.yaml: .*2 problems.*sed: .*epochs must"):
        RunDirectory.open(tmp_path).read_config()


def test_a_full_disk_leaves_the_architecture_of_before(
    tmp_path: Path, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.create(tmp_path, config)
    run.write_text(run.architecture, '{"old": 1}')

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"disk is full: .*architecture\.json was not written"):
        run.write_text("architecture.json", '{"new": 1}')
    assert run.architecture.read_text() == '{"old": 1}'


def test_the_log_is_the_runs_own(tmp_path: Path, config: SearchConfig) -> None:
    run = RunDirectory.create(tmp_path, config)
    with run.open_log() as log:
        log.append({"event": "start"})
    assert run.log.read_text() == '{"event":"start"}\n'
