"""What a loader of text returns: three texts, and how they become tokens and windows."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.errors import several, unknown
from archgrad.tasks.text_vocabulary import KINDS, Vocabulary, make_vocabulary

__all__ = ["SHARES", "RawText", "split_text"]

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
        for part in ("train", "validation", "test"):
            if not getattr(self, part).strip():
                problems.append(f"the {part} part holds no words")
        if problems:
            raise several(f"The text of {self.name} cannot be used", problems)

    def read(self) -> Vocabulary:
        """Return the vocabulary of the training text."""
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
