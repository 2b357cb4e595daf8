"""CPython's own help text, which needs no download: the topics that ``help()`` knows, some 90,000 words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from archgrad.errors import InputError
from archgrad.tasks.raw import digest
from archgrad.tasks.text import RawText

__all__ = ["load_pydoc"]

BLOCK, TURNS = 20, 10
"""Of so many blocks of so many paragraphs, one is for validation and one for the test."""


def load_pydoc(
    argument: str | None,
    *,
    tokens: str = "words",
    vocabulary: int = 2000,
    window: int = 10,
    evaluation_streams: int = 64,
) -> RawText:
    """CPython's own help text, as its help() shows it: some 90,000 words; it changes with the version of Python.

    Args:
        argument: none.
        tokens: "words" or "bpe" (byte pairs).
        vocabulary: tokens that are told apart, at most.
        window: tokens of one step of truncated backpropagation.
        evaluation_streams: pieces that a text is read in side by side when it is measured.

    Raises:
        InputError: a path was given, or this Python comes without its help text.
    """
    if argument is not None:
        raise InputError(f"pydoc comes with Python and takes no path; got '{argument}'. Write just: pydoc")
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise InputError(f"This Python comes without its help text ({error}). Take text:PATH instead.") from error
    train, validation, test = divided(topics)
    return RawText(
        name="pydoc",
        train=train,
        validation=validation,
        test=test,
        fingerprint=digest(train, validation, test),
        tokens=tokens,
        vocabulary=vocabulary,
        window=window,
        evaluation_streams=evaluation_streams,
    )


def divided(topics: Mapping[str, str]) -> tuple[str, str, str]:
    """Return training, validation and test text: blocks of paragraphs in turn, so that all three are about everything.

    Topics quote one another, so a paragraph stays only where it comes first: none is learnt and tested on.

    Args:
        topics: name -> text.
    """
    lines = list(dict.fromkeys(line for name in sorted(topics) for line in _paragraphs(topics[name])))
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for begin in range(0, len(lines), BLOCK):
        turn = begin // BLOCK % TURNS
        parts[1 if turn == TURNS - 2 else 2 if turn == TURNS - 1 else 0].extend(lines[begin : begin + BLOCK])
    train, validation, test = ("\n".join(part) + "\n" for part in parts)
    return train, validation, test


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a topic, one a line: small letters, with spaces around every sign."""
    for paragraph in re.split(r"\n\s*\n", text):
        pieces = [match.group() for match in re.finditer(r"\w+|([^\w\s])\1*", paragraph.lower())]
        if any(piece[0].isalpha() for piece in pieces):
            yield " ".join(pieces)
