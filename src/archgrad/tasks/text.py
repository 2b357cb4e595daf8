"""What a loader of text returns: three texts, and how they become tokens and windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from archgrad.errors import InputError, several, unknown
from archgrad.tasks.text_vocabulary import KINDS, Vocabulary, Words, make_vocabulary

__all__ = ["PARTS", "SHARES", "RawText", "checked_shares", "cut_off", "split_text"]

PARTS = ("train", "validation", "test")
"""The texts of a corpus."""

SHARES = (0.8, 0.1, 0.1)
"""Training, validation and test part of a text that comes in one piece, in this order."""


@dataclass(frozen=True)
class RawText:
    """A corpus before it is divided into tokens.

    Attributes:
        name: short name for messages.
        train: the training text; the vocabulary is made of it alone.
        validation: the validation text.
        test: the test text.
        fingerprint: sha256 of the three, in hexadecimal.
        tokens: "words" (what stands between spaces) or "bpe" (byte pairs).
        vocabulary: tokens that are told apart, at most.
        window: tokens of one step of truncated backpropagation (bptt in DARTS' code).
        evaluation_streams: pieces that a text is read in side by side when it is measured.
        known: all words, where they are settled; None to make the vocabulary of the training text.
    """

    name: str
    train: str
    validation: str
    test: str
    fingerprint: str
    tokens: str = "words"
    vocabulary: int = 10_000
    window: int = 35
    evaluation_streams: int = 10
    known: tuple[str, ...] | None = None

    def check(self) -> None:
        """Raise one InputError that lists all that does not fit together."""
        problems = [
            f"data.{name} is {value}; it must be at least {least}"
            for name, value, least in (
                ("vocabulary", self.vocabulary, 3),
                ("window", self.window, 1),
                ("evaluation_streams", self.evaluation_streams, 1),
            )
            if value < least
        ]
        if self.tokens not in KINDS:
            problems.append(str(unknown("kind of token", self.tokens, KINDS, "data.tokens")))
        for part in PARTS:
            if not getattr(self, part).strip():
                problems.append(f"the {part} part holds no words")
        if problems:
            raise several(f"The text of {self.name} cannot be used", problems)

    def read(self) -> Vocabulary:
        """Return the vocabulary that is known, or that of the training text."""
        if self.known is not None:
            return Words(self.known)
        return make_vocabulary(self.train, self.tokens, self.vocabulary)


def split_text(text: str, shares: tuple[float, ...]) -> tuple[str, ...]:
    """Divide a text into consecutive pieces at ends of lines, or between words where lines are long.

    Args:
        text: the whole text.
        shares: of its characters, one a piece; they sum to 1.

    Returns:
        The pieces, which joined are the text.
    """
    pieces, begin, reached = [], 0, 0.0
    for share in shares[:-1]:
        reached += share
        wanted = max(begin, round(reached * len(text)))
        # a line that is longer than a tenth of the piece would take too much of the next one
        most = wanted + max(1, round(share * len(text)) // 10)
        # from one character before on: where a line ends just there, it is whole
        end = text.find("\n", max(begin, wanted - 1), most)
        if end < 0:
            end = text.find(" ", wanted, most)
        end = wanted if end < 0 else end + 1
        pieces.append(text[begin:end])
        begin = end
    return (*pieces, text[begin:])


Text = TypeVar("Text")


def cut_off(
    parts: Mapping[str, Text],
    shares: tuple[float, ...],
    split: Callable[[Text, tuple[float, ...]], Sequence[Text]],
) -> dict[str, Text]:
    """Return all three parts of a corpus; those that are missing are cut off the end of the training part.

    Args:
        parts: name -> text, at least the training part.
        shares: training, validation and test part of a text in one piece.
        split: divides one text into pieces of these shares.
    """
    missing = [part for part in PARTS if part not in parts]
    taken = [share for part, share in zip(PARTS, shares, strict=True) if part in missing]
    if not missing:
        return dict(parts)
    train, *rest = split(parts["train"], (1 - sum(taken), *taken))
    return {**parts, "train": train, **dict(zip(missing, rest, strict=True))}


def checked_shares(shares: Sequence[float]) -> tuple[float, ...]:
    """Return three shares of a text.

    Raises:
        InputError: they are not three, or do not sum to 1.
    """
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"data.shares is {list(shares)}; it must be three shares of the text for training, validation and test "
            f"that sum to 1, such as {list(SHARES)}."
        )
    return tuple(shares)
