"""Runs side by side: as many as asked for, none twice, none lost, and a process that dies is a verdict."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from archgrad.api import compare_workers
from archgrad.api.compare_figures import Run, Wanted
from archgrad.api.compare_run import done
from archgrad.api.compare_workers import Failure, Job, side_by_side
from archgrad.runs.config import SearchConfig

ONLY_SEARCH = Wanted(retrain=False)
FAKE = Path(__file__).with_name("fake_compare_worker.py")


@pytest.fixture(autouse=True)
def fake_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_workers, "WORKER", [sys.executable, str(FAKE)])
    monkeypatch.setattr(compare_workers, "LONG_PAUSE", 0.05)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def jobs(path: Path, *arms: str) -> list[Job]:
    return [Job(Run(arm, "darts", 0, path / f"{arm}-s0", ONLY_SEARCH), SearchConfig()) for arm in arms]


def work(given: list[Job], workers: int = 2) -> dict[str, Failure | None]:
    return {run.arm: failure for run, failure in side_by_side(given, workers, None, lambda words: None)}


def notes(path: Path) -> list[list[str]]:
    return [line.split() for line in (path / "notes").read_text().splitlines()]


def test_as_many_at_a_time_as_asked_for_each_with_its_share_of_the_cores(tmp_path: Path) -> None:
    assert work(jobs(tmp_path, "a", "b", "c", "d", "e"), workers=3) == dict.fromkeys("abcde")
    at_once, most = 0, 0
    for what, *_ in notes(tmp_path):
        at_once += 1 if what == "begin" else -1
        most = max(most, at_once)
    assert 2 <= most <= 3
    shares = {note[3] for note in notes(tmp_path) if note[0] == "begin"}
    assert shares == {str(max(1, compare_workers.cores() // 3))}
    assert work(jobs(tmp_path, "a", "b")) == dict.fromkeys("ab")  # done: nothing begins
    assert sum(note[0] == "begin" for note in notes(tmp_path)) == 5


def test_a_process_that_dies_is_a_verdict_and_the_others_go_on(tmp_path: Path) -> None:
    found = work(jobs(tmp_path, "x-killed", "x-broken", "x-wrong", "fine"))
    assert found["fine"] is None and done(tmp_path / "fine-s0", ONLY_SEARCH)
    assert found["x-wrong"] == Failure("It was wrong.", 1)
    messages = {name: failure.message for name, failure in found.items() if failure}
    assert "ended by SIGKILL" in messages["x-killed"] and "fewer --workers" in messages["x-killed"]
    assert "exit code 1" in messages["x-broken"] and "workers/x-broken-s0.log" in messages["x-broken"]
    assert (tmp_path / "workers" / "x-broken-s0.log").read_text() == "no verdict\n"


def test_two_commands_on_one_folder_do_no_run_twice_and_both_have_all(tmp_path: Path) -> None:
    found: list[dict[str, Failure | None]] = []
    names = ["a", "b", "c"]
    others = threading.Thread(target=lambda: found.append(work(jobs(tmp_path, *names))))
    others.start()
    found.append(work(jobs(tmp_path, *names)))
    others.join()
    assert found == [dict.fromkeys(names)] * 2
    assert sorted(note[1] for note in notes(tmp_path) if note[0] == "begin") == ["a-s0", "b-s0", "c-s0"]


def test_a_run_that_another_command_does_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    said: list[str] = []
    held = FileLock(tmp_path / "workers" / "a-s0.lock", thread_local=False).acquire()
    threading.Timer(0.3, held.lock.release).start()
    assert [failure for _, failure in side_by_side(jobs(tmp_path, "a"), 1, None, said.append)] == [None]
    assert said == ["Waiting for another command that does a-s0."]


def test_what_is_done_already_is_told_at_once_and_the_next_run_begins(tmp_path: Path) -> None:
    assert work(jobs(tmp_path, "a", "b")) == dict.fromkeys("ab")
    said: list[str] = []
    ended = side_by_side(jobs(tmp_path, "a", "b", "c"), 1, None, said.append)
    assert [run.arm for run, _ in ended] == ["a", "b", "c"]
    assert said == []


def test_who_is_stopped_stops_its_processes(tmp_path: Path) -> None:
    ended = side_by_side(jobs(tmp_path, "soon", "x-endless"), 2, None, lambda words: None)
    assert next(ended)[0].arm == "soon"
    ended.close()  # what Ctrl-C comes to
    assert ["stopped", "x-endless-s0"] in notes(tmp_path)
