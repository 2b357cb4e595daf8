"""Whatever goes wrong becomes a message and an exit code."""

from __future__ import annotations

import errno

import pytest
import torch
import typer
from tests.cli.conftest import Program

from archgrad.cli.app import Program as Group
from archgrad.cli.errors import interruption, reporting
from archgrad.errors import InputError, RunError


def outcome(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Return exit code and stderr of a program that raises."""
    with pytest.raises(SystemExit) as left, reporting():
        raise error
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    return left.value.code, shown.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("No such recipe."), 2, "No such recipe."),
        (RunError("The loss is nan."), 1, "The loss is nan."),
        (OSError(errno.ENOSPC, "No space left on device", "/runs/log.jsonl"), 1, "disk is full: /runs/log.jsonl"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/runs"), 1, "/runs: Permission denied"),
        (MemoryError(), 1, "data.batch"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore lines."), 1, "weights.accumulate"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 1, "--dry-run"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "defect of archgrad, not of your input: ZeroDivisionError: division",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_failure_has_its_code_and_its_words(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARCHGRAD_DEBUG", raising=False)
    left, message = outcome(error, capsys)
    assert left == code
    assert words in message
    assert message.startswith("Error: ") and message.endswith("\n") and message.count("\n") == 1


def test_a_traceback_only_of_defects_and_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHGRAD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError), reporting():
        raise ZeroDivisionError
    assert outcome(InputError("wrong"), capsys) == (2, "Error: wrong\n")


def test_no_message_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _, message = outcome(InputError("a file named \x1b[2Jx\n  - ünïcode stays"), capsys)
    assert "\x1b" not in message
    assert "\n  - ünïcode stays" in message


def test_an_interruption_leaves_with_130_and_says_how_to_go_on(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Group, ctx: typer.Context) -> None:
        ctx.invoked_subcommand = "search"
        raise KeyboardInterrupt("Interrupted at step 7. Go on with: archgrad search --resume --run r")

    monkeypatch.setattr("typer.core.TyperGroup.invoke", interrupt)
    done = program("search")
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr == "Interrupted at step 7. Go on with: archgrad search --resume --run r\n"


@pytest.mark.parametrize(
    ("verb", "words"), [("train", "--resume"), ("compare", "same command"), ("show", "Interrupted.")]
)
def test_a_second_ctrl_c_still_says_what_is_left(verb: str, words: str) -> None:
    assert words in interruption(KeyboardInterrupt(), verb)
