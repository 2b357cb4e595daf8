"""Text from the disk: one file, or a folder with a training, a validation and a test file; compressed ones too."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from archgrad.errors import InputError, several
from archgrad.tasks.raw import digest
from archgrad.tasks.text import SHARES, RawText, checked_shares, cut_off, split_text

__all__ = ["load_text", "read_text"]

PARTS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
"""How the files of a folder may be called, among other pieces of their names such as in ``ptb.train.txt.gz``."""


def load_text(
    argument: str | None,
    *,
    tokens: str = "words",
    vocabulary: int = 10_000,
    window: int = 35,
    shares: tuple[float, ...] = SHARES,
    evaluation_streams: int = 10,
) -> RawText:
    """Text: one file, or a folder with files for train, valid and test, such as ptb.train.txt.gz.

    Args:
        argument: the path.
        tokens: "words" (what stands between spaces) or "bpe" (byte pairs).
        vocabulary: tokens that are told apart, at most; the Penn Treebank has 10,000.
        window: tokens of one step of truncated backpropagation (35 in DARTS).
        shares: training, validation and test part of a single file; of a folder's training file what is missing.
        evaluation_streams: pieces that a text is read in side by side when it is measured (10 in DARTS' code).

    Raises:
        InputError: no path, nothing there that is text, or options that are wrong.
    """
    if argument is None:
        raise InputError("text needs the path of a file or a folder: text:PATH")
    path = Path(argument).expanduser()
    shares = checked_shares(shares)
    train, validation, test = _folder(path, shares) if path.is_dir() else split_text(read_text(path), shares)
    return RawText(
        name=path.name or str(path),
        train=train,
        validation=validation,
        test=test,
        fingerprint=digest(train, validation, test),
        tokens=tokens,
        vocabulary=vocabulary,
        window=window,
        evaluation_streams=evaluation_streams,
    )


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, uncompressed where its name ends in ``.gz``.

    Raises:
        InputError: it is no such text.
        OSError: it cannot be read.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except (gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{path} is no whole gzip file: {error}.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path} is no text in UTF-8: line {line} has the byte 0x{error.object[error.start]:02x} at position "
            f"{error.start}. Convert it first, for instance with iconv."
        ) from error


def _folder(path: Path, shares: tuple[float, ...]) -> tuple[str, str, str]:
    """Return the three texts of a folder; a validation or test text that is missing is cut off the training text."""
    found: dict[str, list[Path]] = {part: [] for part in PARTS}
    for file in sorted(path.iterdir()):
        pieces = set(re.split(r"[^a-z]+", file.name.lower()))
        if file.is_file() and not file.name.startswith("."):
            for part, names in PARTS.items():
                if not pieces.isdisjoint(names):
                    found[part].append(file)
    problems = [
        f"{len(files)} files could be the {part} part: {', '.join(file.name for file in files)}"
        for part, files in found.items()
        if len(files) > 1
    ]
    if not found["train"]:
        problems.append("no file is called train, such as train.txt, train.txt.gz or ptb.train.txt")
    if problems:
        raise several(f"The folder {path} holds no corpus", problems)
    texts = cut_off({part: read_text(files[0]) for part, files in found.items() if files}, shares, split_text)
    return texts["train"], texts["validation"], texts["test"]
