"""Between text and numbers: words between spaces, or byte pairs; made of the training text alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from archgrad.errors import InputError

__all__ = ["EOS", "KINDS", "UNK", "BytePairs", "Vocabulary", "Words", "load_vocabulary", "make_vocabulary"]

UNK, EOS = "<unk>", "<eos>"
"""What stands for a word that is not in the vocabulary, and what ends every line."""

KINDS = ("words", "bpe")


class Vocabulary(Protocol):
    """The tokens of a corpus, numbered from 0."""

    @property
    def tokens(self) -> list[str]:
        """Their names, in the order of their numbers."""
        ...

    @property
    def eos(self) -> int:
        """The number of :data:`EOS`."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text; every line but an empty last one ends with :data:`EOS`."""
        ...

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of tokens; :data:`EOS` ends a line."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, which :func:`load_vocabulary` takes."""
        ...


class Words:
    """Words as they stand between spaces: the form of the Penn Treebank as prepared by Mikolov.

    Args:
        tokens: all words, among them :data:`UNK` and :data:`EOS`.

    Raises:
        InputError: one of these is missing, or a word is there twice.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = list(tokens)
        self._numbers = {token: number for number, token in enumerate(self._tokens)}
        if len(self._numbers) != len(self._tokens) or not {UNK, EOS} <= self._numbers.keys():
            raise InputError(f"A vocabulary of words holds every word once, {UNK} and {EOS} among them.")

    @property
    def tokens(self) -> list[str]:
        """The words, in the order of their numbers."""
        return list(self._tokens)

    @property
    def eos(self) -> int:
        """The number of :data:`EOS`."""
        return self._numbers[EOS]

    def encode(self, text: str) -> list[int]:
        """Return the numbers of all words, :data:`UNK` for those that are not known; lines end with :data:`EOS`."""
        find, unk = self._numbers.get, self._numbers[UNK]
        return [find(word, unk) for line in _lines(text) for word in (*line.split(), EOS)]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the words with spaces between them, :data:`EOS` as the end of a line."""
        words = " ".join(self._tokens[number] for number in numbers)
        return words.replace(f" {EOS}", "\n").replace(EOS, "\n").replace("\n ", "\n")

    def to_dict(self) -> dict[str, Any]:
        """Return the kind; the words themselves are :attr:`tokens`."""
        return {"kind": "words"}


class BytePairs:
    """Byte pairs (arXiv 1508.07909) of the ``tokenizers`` package: any line becomes tokens and comes back.

    Args:
        definition: a tokenizer as JSON.

    Raises:
        InputError: the package is missing, or it is no tokenizer of this kind.
    """

    def __init__(self, definition: str) -> None:
        package = _tokenizers()
        try:
            self._tokenizer = package.Tokenizer.from_str(definition)
        except Exception as error:  # the package raises nothing narrower
            raise InputError(f"The tokenizer is damaged: {error}.") from error
        end = self._tokenizer.token_to_id(EOS)
        if end is None:
            raise InputError(f"The tokenizer has no token {EOS}.")
        self._eos = int(end)

    @property
    def tokens(self) -> list[str]:
        """The names of the tokens, in the order of their numbers."""
        return [str(self._tokenizer.id_to_token(number)) for number in range(self._tokenizer.get_vocab_size())]

    @property
    def eos(self) -> int:
        """The number of :data:`EOS`."""
        return self._eos

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text; every line ends with :data:`EOS`."""
        encoded = self._tokenizer.encode_batch([line.strip() for line in _lines(text)], add_special_tokens=False)
        return [number for line in encoded for number in (*line.ids, self._eos)]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of tokens; :data:`EOS` ends a line."""
        lines: list[list[int]] = [[]]
        for number in numbers:
            if number == self._eos:
                lines.append([])
            else:
                lines[-1].append(int(number))
        return "\n".join(str(self._tokenizer.decode(line, skip_special_tokens=False)) for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the tokenizer as JSON."""
        return {"kind": "bpe", "tokenizer": self._tokenizer.to_str()}


def make_vocabulary(text: str, kind: str, size: int) -> Vocabulary:
    """Return the vocabulary of a text: the training part, and nothing else.

    Args:
        text: the training text.
        kind: "words" or "bpe".
        size: tokens at most; of words the most frequent stay, of equally frequent ones the first in the alphabet.

    Raises:
        InputError: byte pairs without the package ``tokenizers``.
    """
    if kind == "bpe":
        return BytePairs(_train_byte_pairs(_lines(text), size))
    counts = Counter(word for line in _lines(text) for word in line.split())
    counts.pop(UNK, None)
    counts.pop(EOS, None)
    known = sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]
    return Words([UNK, EOS, *known])


def load_vocabulary(tokens: Sequence[str], about: Mapping[str, Any]) -> Vocabulary:
    """Return a vocabulary that was saved.

    Args:
        tokens: its tokens.
        about: what :meth:`Vocabulary.to_dict` returned.

    Raises:
        InputError: it is damaged, or the package that it needs is missing.
    """
    if about.get("kind") == "bpe":
        return BytePairs(str(about.get("tokenizer")))
    return Words(tokens)


def _lines(text: str) -> Iterable[str]:
    """Return the lines that hold something: an empty one says nothing about the next word."""
    return (line for line in text.split("\n") if line.strip())


def _train_byte_pairs(lines: Iterable[str], size: int) -> str:
    package = _tokenizers()
    tokenizer = package.Tokenizer(package.models.BPE(unk_token=UNK))
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=max(size, 258),  # 256 bytes and the two special ones are always there
        special_tokens=[UNK, EOS],
        initial_alphabet=sorted(package.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((line.strip() for line in lines), trainer)
    return str(tokenizer.to_str())


def _tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise InputError(
            f"data.tokens=bpe needs a package that is not installed ({error}). Install it: "
            'pip install "archgrad[hf]". Or take data.tokens=words.'
        ) from error
    return tokenizers
