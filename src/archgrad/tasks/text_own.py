"""Text given from Python: documents, a column "text" of them, or token numbers with their vocabulary."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from torch import Tensor

from archgrad.errors import InputError, several, unknown
from archgrad.tasks.raw import digest
from archgrad.tasks.series_table import is_frame
from archgrad.tasks.text import PARTS, SHARES, RawText, checked_shares, cut_off, split_text
from archgrad.tasks.text_vocabulary import EOS, UNK

__all__ = ["is_text", "load_own_text", "split_documents"]

COLUMN = "text"
"""The column of a data set's split that holds its documents, as in most corpora of the Hugging Face hub."""

VOCABULARY = "vocabulary"
"""The key under which the names of tokens are given, where texts are numbers or the words are settled."""


def is_text(given: object) -> bool:
    """Say whether the user's own object holds text. A bare string does not: it is a SPEC.

    Args:
        given: a list of documents; a mapping with ``"train"`` or ``"vocabulary"``; or what has a column ``"text"``: a
            mapping, a frame, or a data set with ``column_names``.
    """
    if isinstance(given, Mapping) and not _has_column(given):
        return VOCABULARY in given or (
            "train" in given and (isinstance(given["train"], str) or is_text(given["train"]))
        )
    return _has_column(given) or _is_list(given)


def load_own_text(
    given: object,
    *,
    tokens: str = "words",
    vocabulary: int | None = None,
    window: int = 35,
    shares: tuple[float, ...] = SHARES,
    evaluation_streams: int = 10,
) -> RawText:
    """Take the user's own documents as text; options and defaults are those of text:PATH.

    Args:
        given: a list of documents, each a string, or what has a column ``"text"`` of them; or a mapping with such a
            ``"train"`` and, if you like, ``"validation"`` and ``"test"``, each also a single string. With
            ``"vocabulary"``, the names of all tokens (in the order of their numbers, or name -> number), a part may
            also be whole numbers; ``<unk>`` and ``<eos>`` are put behind it where it lacks them.
        tokens: "words" (what stands between spaces) or "bpe" (byte pairs).
        vocabulary: tokens that are told apart, at most; 10,000 if None.
        window: tokens of one step of truncated backpropagation (35 in DARTS).
        shares: training, validation and test part of a list of documents; of a mapping what is missing, which is cut
            off its training part. Documents stay whole, as :func:`split_documents` says.
        evaluation_streams: pieces that a text is read in side by side when it is measured (10 in DARTS' code).

    Raises:
        InputError: it is no text, or options are wrong.
    """
    shares = checked_shares(shares)
    parts, names = _parts(given)
    known = None if names is None else (*names, *(name for name in (UNK, EOS) if name not in names))
    if known and (vocabulary is not None or tokens != "words"):
        raise InputError(f'The data bring their own "{VOCABULARY}"; leave data.vocabulary and data.tokens out, or it.')
    texts = cut_off(parts, shares, split_documents)
    train, validation, test = (_joined(texts[part]) for part in PARTS)
    return RawText(
        name="own documents",
        train=train,
        validation=validation,
        test=test,
        fingerprint=digest(train, validation, test, *([known] if known else [])),
        tokens=tokens,
        vocabulary=len(known) if known else 10_000 if vocabulary is None else vocabulary,
        window=window,
        evaluation_streams=evaluation_streams,
        known=known,
    )


def split_documents(documents: list[str], shares: tuple[float, ...]) -> tuple[list[str], ...]:
    """Divide documents into consecutive pieces, each up to the end of the document in which its share ends.

    Documents of one line are divided as the lines of a file are. Where documents are so few or uneven that a piece gets
    less than half of its share, all are divided as one text (:func:`archgrad.tasks.text.split_text`).

    Args:
        documents: in their order.
        shares: of the characters, one a piece; they sum to 1.
    """
    ends = [0, *accumulate(len(_ended(document)) for document in documents)]
    wanted = [round(reached * ends[-1]) for reached in accumulate(shares[:-1])]
    borders = [0, *(bisect_left(ends, place) for place in wanted), len(documents)]
    spans = list(pairwise(borders))
    if any(ends[b] - ends[a] < share * ends[-1] / 2 for (a, b), share in zip(spans, shares, strict=True)):
        return tuple([piece] for piece in split_text(_joined(documents), shares))
    return tuple(documents[a:b] for a, b in spans)


def _joined(documents: list[str]) -> str:
    """Return documents as one text in which each ends its line, as they would stand in a file."""
    return "".join(_ended(document) for document in documents)


def _ended(document: str) -> str:
    text = document.replace("\r\n", "\n")
    return text if text.endswith("\n") or not text else f"{text}\n"


def _parts(given: object) -> tuple[dict[str, list[str]], tuple[str, ...] | None]:
    """Return the documents of the parts that are there, and the names of tokens where they are given."""
    if not isinstance(given, Mapping) or _has_column(given):
        return {"train": _documents(given, "train", None)}, None
    for key in given:
        if key not in (*PARTS, VOCABULARY):
            raise unknown("part", key, [*PARTS, VOCABULARY], "text given as a dictionary")
    if "train" not in given:
        raise InputError('Text given as a dictionary needs "train", of which the network learns.')
    names = _names(given[VOCABULARY]) if VOCABULARY in given else None
    return {part: _documents(given[part], part, names) for part in PARTS if part in given}, names


def _documents(given: object, part: str, names: tuple[str, ...] | None) -> list[str]:
    """Return the documents of one part."""
    if isinstance(given, str):
        if len(given) < 4096 and os.path.exists(given):
            raise InputError(
                f'"{part}" is the path {given}, and a string is the text itself there. A file or a folder of texts is '
                f"given as data='text:{given}'."
            )
        return [given]
    numbers = _numbers(given)
    if numbers is not None:
        return [_spelled(numbers, part, names)]
    column: Any = given[COLUMN] if _has_column(given) else given  # type: ignore[index]
    if isinstance(column, str):
        return [column]
    if not isinstance(column, Iterable):
        raise InputError(f"The {part} part is {_said(given)}; give a list of documents, each a string.")
    documents = list(column)
    strange = next((n for n, document in enumerate(documents) if not isinstance(document, str)), None)
    if strange is not None:
        raise InputError(
            f"Document {strange} of the {part} part is {_said(documents[strange])}; every document is a string. "
            'Token numbers are given as one row of whole numbers a part, beside their "vocabulary".'
        )
    return documents


def _spelled(numbers: np.ndarray[Any, np.dtype[Any]], part: str, names: tuple[str, ...] | None) -> str:
    """Return token numbers as the text that :class:`archgrad.tasks.text_vocabulary.Words` reads as just these."""
    if names is None:
        raise InputError(
            f"The {part} part holds numbers. Name the tokens that they stand for: "
            f'data={{"train": numbers, ..., "{VOCABULARY}": ["the", "cat", ...]}}.'
        )
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise InputError(
            f"The {part} part is {numbers.dtype} of shape {numbers.shape}; tokens are one row of whole numbers."
        )
    if len(numbers) and not (0 <= numbers.min() and numbers.max() < len(names)):
        raise InputError(
            f"The tokens of the {part} part go from {numbers.min()} to {numbers.max()}; the vocabulary names "
            f"{len(names)}, which have the numbers 0 to {len(names) - 1}."
        )
    # the end of a text is the end of a line, which is read as this token already
    ended = len(numbers) > 0 and names[numbers[-1]] == EOS
    return " ".join(names[number] for number in (numbers[:-1] if ended else numbers).tolist())


def _names(given: object) -> tuple[str, ...]:
    """Return the names of the tokens in the order of their numbers, as they were given.

    Raises:
        InputError: they are no names, or cannot be told apart in a text.
    """
    if isinstance(given, Mapping):
        if sorted(given.values()) != list(range(len(given))):
            raise InputError(f'"{VOCABULARY}" must number its {len(given)} tokens from 0 to {len(given) - 1}.')
        given = sorted(given, key=given.__getitem__)
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        raise InputError(
            f'"{VOCABULARY}" is {_said(given)}; give a list of the names of all tokens, or name -> number.'
        )
    problems = []
    if len(set(given)) != len(given):
        twice = next(name for n, name in enumerate(given) if name in given[:n])
        problems.append(f"'{twice}' is there twice")
    if spaced := [name for name in given if name.split() != [name]]:
        problems.append(
            f"{spaced[0]!r} is empty or holds a space, at which texts are divided; write another sign for it, such as "
            "'▁'"
        )
    if problems:
        raise several(f'The "{VOCABULARY}" cannot be used', problems)
    return tuple(given)


def _numbers(given: object) -> np.ndarray[Any, np.dtype[Any]] | None:
    """Return an array, a tensor or a list of numbers as an array; None if it is none."""
    if isinstance(given, Tensor):
        return given.detach().cpu().numpy()
    if isinstance(given, np.ndarray):
        return given if given.dtype.kind in "iufb" else None
    if isinstance(given, (list, tuple)) and len(given) and all(isinstance(one, (int, np.integer)) for one in given):
        return np.array(given)
    return None


def _has_column(given: object) -> bool:
    """Say whether an object has documents in a column "text"; it is asked for nothing else, and nothing is imported."""
    if is_frame(given):
        there = COLUMN in getattr(given, "columns", ())
    elif isinstance(given, Mapping):
        there = COLUMN in given
    else:
        there = COLUMN in (getattr(given, "column_names", None) or ())
    if not there:
        return False
    column: Any = given[COLUMN]  # type: ignore[index]
    return not is_frame(column) or _is_list(column)


def _is_list(given: object) -> bool:
    """Say whether these are strings in a row: a list, an array, or a column of a frame."""
    if is_frame(given) or isinstance(given, np.ndarray):
        rows: Any = given
        if rows.ndim != 1 or not len(rows):
            return False
        first = rows.iloc[0] if is_frame(given) else rows[0]
        # a column of a table may hold its numbers as words
        return isinstance(first, str) and not _is_number(first)
    return isinstance(given, (list, tuple)) and len(given) > 0 and isinstance(given[0], str)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _said(given: object) -> str:
    return "None" if given is None else f"of type {type(given).__name__}"
