"""The one place where what went wrong becomes a message on stderr and an exit code; never a traceback for bad input."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from archgrad.errors import ArchgradError, unknown

__all__ = ["FAILED", "INTERRUPTED", "WRONG", "fail", "interruption", "reporting"]

FAILED, WRONG, INTERRUPTED = 1, 2, 130
"""Exit codes: the run failed; the words or the input are wrong; Ctrl-C."""

DEBUG = "ARCHGRAD_DEBUG"
MEMORY = (
    "The memory is full. A smaller batch takes less (--set data.batch=32 in a search, --set train.batch=32 in a "
    "training), or the same batch in parts (--set weights.accumulate=4); so do fewer cells and channels. "
    "'archgrad search ... --dry-run' forecasts what a search needs."
)


@contextmanager
def reporting() -> Iterator[None]:
    """Turn whatever the body raises into a message on stderr and an exit with the code of the contract.

    Raises:
        SystemExit: always, if anything was raised; with ARCHGRAD_DEBUG=1 an unexpected error is raised as it is.
    """
    try:
        yield
    except ArchgradError as error:
        fail(str(error), error.exit_code)
    except Exception as error:
        if _is_usage(error):
            fail(_usage(error), WRONG)
        if _is_memory(error):
            fail(f"{MEMORY} ({_first_line(error)})", FAILED)
        if isinstance(error, OSError) and error.filename is not None:
            fail(_environment(error), FAILED)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            fail(
                "The disk is full. What was written before is intact; free some space and go on with --resume.", FAILED
            )
        if os.environ.get(DEBUG) == "1":
            raise
        fail(
            f"This is a defect of archgrad, not of your input: {type(error).__name__}: {_first_line(error)} "
            f"Please report it where you got archgrad from, with the command and its traceback, which {DEBUG}=1 shows.",
            FAILED,
        )


def fail(message: str, code: int) -> NoReturn:
    """Print a message on stderr and exit."""
    print(f"Error: {_harmless(message)}", file=sys.stderr)
    sys.exit(code)


def interruption(error: KeyboardInterrupt, verb: str | None) -> str:
    """Return what to say after Ctrl-C: how to go on, if there is something to go on with."""
    said = str(error)
    if said:
        return said
    hint = " Checkpoints are whole: the same run goes on with --resume." if verb in ("search", "train") else ""
    again = " The same command goes on with what is missing." if verb == "compare" else ""
    return f"Interrupted.{hint}{again}"


def _is_usage(error: Exception) -> bool:
    """Say whether the command line itself is wrong; typer keeps the class of such errors to itself."""
    return hasattr(error, "format_message") and getattr(error, "exit_code", None) == WRONG


def _usage(error: Any) -> str:
    """Return a usage error in our own form: the nearest match and what is allowed."""
    context = getattr(error, "ctx", None)
    command = f"archgrad {context.info_name}" if context is not None and context.parent else "archgrad"
    if hasattr(error, "possibilities") and context is not None:
        allowed = [word for parameter in context.command.params for word in parameter.opts if word.startswith("--")]
        return f"{unknown(f'option of {command}', error.option_name, [*allowed, '--help'])}"
    return f"{error.format_message().rstrip('.')}. '{command} --help' shows an example."


def _is_memory(error: Exception) -> bool:
    """Say whether memory ran out, on a GPU or not, without importing torch for it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _environment(error: OSError) -> str:
    """Return what the operating system refused, and about which file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: {error.filename} was not written. Free some space and try again."
    return f"{error.filename}: {error.strerror or error}."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0].rstrip('.')}." if lines else "no message."


def _harmless(message: str) -> str:
    """Replace control characters, which could come from a file, so that no message commands the terminal."""
    return "".join(c if c.isprintable() or c in "\n " else "\ufffd" for c in message)
