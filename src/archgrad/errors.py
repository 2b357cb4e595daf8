"""Errors written for the person who made them, and the one sentence that names the nearest allowed word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["ArchgradError", "InputError", "NotFiniteError", "RunError", "at_least_one", "several", "unknown"]


class ArchgradError(Exception):
    """Base of every error that is a message and not a defect; the command line prints it without a traceback."""

    exit_code = 1


class RunError(ArchgradError):
    """The run itself failed: no disk space left, a loss that is not finite, a truncated checkpoint (exit code 1)."""


class NotFiniteError(RunError):
    """A loss that is not finite: search or training stops at its last good checkpoint."""


class InputError(ArchgradError, ValueError):
    """The words or the input are wrong: an unknown name, a value out of range, unreadable data (exit code 2)."""

    exit_code = 2


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word closest to ``given``, or None when nothing is near."""
    names = {name.lower(): name for name in allowed}
    matches = get_close_matches(given.lower(), names, n=1, cutoff=0.5)
    return names[matches[0]] if matches else None


def unknown(what: str, given: object, allowed: Iterable[str], where: str = "") -> InputError:
    """Build the error for a name that does not exist: what was given, the nearest match, what is allowed.

    Args:
        what: the kind of thing, in the user's words ("recipe", "operation").
        given: the name as it was given.
        allowed: every name that would have been right.
        where: where it was read (a key or a file), if that helps.
    """
    names = sorted(allowed)
    match = nearest(str(given), names)
    hint = f" Did you mean '{match}'?" if match else ""
    place = f" in {where}" if where else ""
    return InputError(f"Unknown {what} '{given}'{place}.{hint} Allowed: {', '.join(names) or 'none'}.")


def at_least_one(place: str = "", **values: int | None) -> None:
    """Raise an error for the first value that is less than 1; None counts as not given.

    Args:
        place: where the names belong, such as ``"supernet"``; empty for arguments of a function.
        **values: by name.

    Raises:
        InputError: one of them is 0 or less.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise InputError(f"{place + '.' if place else ''}{name} is {value}; it must be at least 1.")


def several(heading: str, problems: list[str]) -> InputError:
    """Build one error that lists all problems at once, so that nobody mends them one run at a time."""
    if len(problems) == 1:
        return InputError(f"{heading}: {problems[0]}")
    return InputError(f"{heading}, {len(problems)} problems:\n" + "\n".join(f"  - {problem}" for problem in problems))
