"""The program as a whole: its verbs, its help, words that are no words of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.cli.conftest import Program

import archgrad
import archgrad.cli.app
from archgrad.cli import main

VERBS = "search derive train evaluate baselines predict export show report compare table list".split()


def test_all_verbs_of_the_contract_are_listed_with_whole_sentences(program: Program) -> None:
    done = program("--help")
    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    assert done.exit_code == 0
    assert [line.split()[0] for line in lines[: len(VERBS)]] == VERBS
    assert all(line.endswith(".") and not line.endswith("...") for line in lines[: len(VERBS)])


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_shows_an_example(program: Program, verb: str) -> None:
    done = program(verb, "--help")
    assert done.exit_code == 0
    assert f"  archgrad {verb} " in done.stdout.partition("Example")[2]
    assert "--json" in done.stdout


def test_no_words_at_all_get_the_help(program: Program) -> None:
    assert program().stdout == program("--help").stdout


def test_the_version(program: Program) -> None:
    assert program("--version").stdout == f"archgrad {archgrad.__version__}\n"


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["serch"], ["Unknown verb 'serch'. Did you mean 'search'?", "compare, derive, evaluate"]),
        (["search", "--epoch", "3"], ["'--epoch'. Did you mean '--epochs'?", "--dry-run"]),
        (["derive"], ["Missing argument 'RUN'", "archgrad derive --help"]),
        (["search", "--epochs", "many"], ["'--epochs'", "integer"]),
        (["search", "darts", "random"], ["random", "archgrad search --help"]),
        (["list", "recipe"], ["Did you mean 'recipes'"]),
        (["export", "run"], ["'--to'"]),
        (["--nonsense"], ["'--nonsense'", "--version"]),
        (["show", "DARTS_V3"], ["Did you mean 'DARTS_V2'"]),
        (["show", "DARTS_V2", "--input-shape", "3x32"], ["3x32x32"]),
        (["compare", "darts", "--seeds", "0"], ["one seed"]),
        (["compare", "darts", "--output", "table.doc"], [".csv, .md, .json"]),
        (["compare", "darts", "--workers", "0"], ["at least 1"]),
        (["compare", "dartz"], ["Did you mean 'darts'"]),
        (["report", "/nowhere"], ["/nowhere does not exist"]),
    ],
    ids=lambda value: " ".join(value[:3]),
)
def test_wrong_words_leave_with_2_and_say_what_would_be_right(
    program: Program, words: list[str], messages: list[str]
) -> None:
    done = program(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert all(message in done.stderr for message in messages), done.stderr
    assert "Traceback" not in done.stderr


def test_threads_wait_passively_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(archgrad.cli.app, "app", lambda: seen.append(os.environ.get("OMP_WAIT_POLICY")))
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    main()
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    main()
    assert seen == ["PASSIVE", "ACTIVE"]


def test_the_module_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "archgrad", "serch"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'search'" in done.stderr
    from importlib.metadata import entry_points

    assert [point.value for point in entry_points(group="console_scripts", name="archgrad")] == ["archgrad.cli:main"]
