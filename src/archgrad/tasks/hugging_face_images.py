"""Encoded images in a table of the library ``datasets``, decoded when they are asked for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from archgrad.errors import InputError
from archgrad.tasks.decoding import UNREADABLE, Header, agreed, decoded, header_of
from archgrad.tasks.raw import digest

__all__ = ["TableImages"]

ROWS = 256
"""Rows that are looked at in one go."""


@dataclass(frozen=True)
class TableImages:
    """Images of one column, decoded one by one.

    Attributes:
        table: a ``datasets.Dataset`` with this column alone, which gives encoded images.
        column: its name.
        indices: which of its rows these are.
        size: side of the square that they are resized and cut to; None leaves them as they are.
        mode: ``"RGB"`` or ``"L"``.
        shape: (channels, height, width) of every decoded image.
        contents: sha256 of the encoded images and of how they are read, in hexadecimal.
    """

    table: Any
    column: str
    indices: Sequence[int]
    size: int | None
    mode: str
    shape: tuple[int, int, int]
    contents: str
    dtype: torch.dtype = torch.uint8
    keep: bool = True
    workers: int = 4

    @classmethod
    def open(cls, table: Any, column: str, size: int | None, mode: str | None, where: str) -> TableImages:
        """Look at all images' headers and settle what they have in common.

        Raises:
            InputError: rows without an image, or whose size or mode differs from the others'; all are named.
        """
        import datasets

        table = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
        headers: list[Header | None] = []
        digests = []
        for first in range(0, len(table), ROWS):
            for cell in table[first : first + ROWS][column]:
                data = _bytes(cell)
                headers.append(header_of(io.BytesIO(data)))
                digests.append(hashlib.sha256(data).hexdigest())
        if not headers:
            raise InputError(f"{where} has no rows.")
        names = [f"row {row}" for row in range(len(headers))]
        common, shape = agreed(names, headers, size, mode, where)
        contents = digest(digests, f"{size} {mode}")
        return cls(table, column, range(len(headers)), size, common, shape, contents)

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, indices: Sequence[int]) -> TableImages:
        """Return these images only, in this order."""
        return replace(self, indices=[self.indices[index] for index in indices])

    def fetch(self, indices: Sequence[int], key: tuple[object, ...]) -> Tensor:
        """Decode images uint8 [n, C, H, W]; the key is not needed, tables do not change.

        Raises:
            InputError: images that cannot be decoded; all are named.
        """
        rows = [self.indices[index] for index in indices]
        images = torch.empty((len(rows), *self.shape), dtype=self.dtype)
        broken = []
        cells = self.table[rows][self.column] if rows else []
        for place, (row, cell) in enumerate(zip(rows, cells, strict=True)):
            try:
                images[place] = decoded(_file(cell), self.size, self.mode, self.shape[1:])
            except UNREADABLE as error:
                broken.append(f"The image in row {row} cannot be decoded ({error}). Mend or remove it.")
        if broken:
            raise InputError("\n".join(broken))
        return images


def _file(cell: Any) -> Path | IO[bytes]:
    """Return an encoded image: the bytes in the table, or the file that it names."""
    if cell is not None and cell["bytes"] is None and cell["path"]:
        return Path(cell["path"])
    return io.BytesIO(_bytes(cell))


def _bytes(cell: Any) -> bytes:
    """Return an encoded image's bytes, none of an empty cell or where the file is missing."""
    if cell is None:
        return b""
    if cell["bytes"] is None and cell["path"]:
        try:
            return Path(cell["path"]).read_bytes()
        except OSError:
            return b""
    return cell["bytes"] or b""
