"""A table of trained cells: what a cell of NAS-Bench-201 is worth, looked up instead of trained.

The file is a CSV, packed with gzip where its name ends in .gz: a column ``arch`` with architecture strings, and columns
of numbers, the figures; the first figure is what cells are compared by. ``index`` and ``iso_rep`` are no figures.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from archgrad.architecture import Architecture
from archgrad.errors import InputError
from archgrad.runs.writing import write_atomically
from archgrad.space.nasbench201 import NAME
from archgrad.space.nasbench201_strings import canonical, read_string, write_string

__all__ = ["CellTable", "write_table"]

NO_FIGURES = ("index", "arch", "iso_rep")


class CellTable:
    """The figures of every cell by its architecture string.

    Args:
        path: the CSV file.

    Raises:
        InputError: the file is missing, damaged or no such table; the message says where.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        header, *lines = _lines(self.path)
        if "arch" not in header or not lines:
            raise InputError(
                f"'{self.path}' is no table of cells: it needs a column 'arch' and rows. Its columns: "
                f"{', '.join(header) or 'none'}. Official files are converted by archgrad table."
            )
        where, self.figures = header.index("arch"), tuple(name for name in header if name not in NO_FIGURES)
        if not self.figures:
            raise InputError(f"'{self.path}' has no column of figures beside {', '.join(header)}.")
        columns = [header.index(figure) for figure in self.figures]
        self.rows: dict[str, tuple[float | None, ...]] = {}
        for number, line in enumerate(lines, start=2):
            try:
                self.rows[line[where]] = tuple(float(line[k]) if line[k] else None for k in columns)
            except (IndexError, ValueError) as error:
                raise InputError(f"'{self.path}', line {number}: {error}. The file is damaged.") from error
        read_string(next(iter(self.rows)))  # another benchmark's table says so here and not after a search

    @property
    def figure(self) -> str:
        """The name of the figure that cells are compared by."""
        return self.figures[0]

    def figures_of(self, architecture: Architecture) -> dict[str, float | None] | None:
        """Return a cell's figures by name; None where the table lacks the cell.

        Raises:
            InputError: the architecture is of another space.
        """
        found = self.rows.get(write_string(architecture))
        return None if found is None else dict(zip(self.figures, found, strict=True))

    def value(self, architecture: Architecture) -> float | None:
        """Return the figure that cells are compared by; None where the table lacks the cell."""
        return (self.figures_of(architecture) or {}).get(self.figure)

    def about(self, architecture: Architecture) -> dict[str, Any]:
        """Return all that the table says of a cell as plain data.

        Args:
            architecture: of the space of NAS-Bench-201.

        Returns:
            ``string``; ``figures`` by name, None where the table lacks the cell; ``rank`` by the first figure (1 is
            best) among so many cells, ``of``; ``isomorphic``: how many of the table's cells, itself included, are
            isomorphic to it, and ``isomorphic_mean``, their mean of the first figure.

        Raises:
            InputError: the architecture is of another space.
        """
        text = write_string(architecture)
        figures = self.figures_of(architecture)
        value = None if figures is None else figures[self.figure]
        first = [self.rows[other][0] for other in self._classes.get(canonical(text), ())]
        alike = [each for each in first if each is not None]
        return {
            "string": text,
            "figures": figures,
            "rank": None if value is None else 1 + len(self._sorted) - bisect_right(self._sorted, value),
            "of": len(self._sorted),
            "isomorphic": len(alike),
            "isomorphic_mean": sum(alike) / len(alike) if alike else None,
        }

    def check_space(self, space: str) -> None:
        """Refuse to look for cells of another space.

        Raises:
            InputError: it is another.
        """
        if space != NAME:
            raise InputError(
                f"'{self.path}' tells of cells of the space {NAME}; this is the space {space}. Take --space {NAME}."
            )

    @cached_property
    def _sorted(self) -> list[float]:
        return sorted(row[0] for row in self.rows.values() if row[0] is not None)

    @cached_property
    def _classes(self) -> dict[str, list[str]]:
        """The strings of every class of isomorphic cells."""
        found: dict[str, list[str]] = {}
        for text in self.rows:
            found.setdefault(canonical(text), []).append(text)
        return found


def write_table(path: str | Path, rows: Iterable[Mapping[str, Any]], figures: Sequence[str]) -> Path:
    """Write a table; the first cell of every class of isomorphic ones stands for it in the column ``iso_rep``.

    Args:
        path: of the CSV file, packed where it ends in .gz; the same rows give the same bytes.
        rows: ``index``, ``arch`` and figures of every cell.
        figures: columns, in this order; those that no row has are left out.

    Raises:
        InputError: the name of the file ends neither in .csv nor in .csv.gz.
        RunError: the file cannot be written.
    """
    path = Path(path).expanduser()
    if not path.name.endswith((".csv", ".csv.gz")):
        raise InputError(f"The table would be '{path}'; its name must end in .csv or .csv.gz.")
    rows = list(rows)
    kept = [figure for figure in figures if any(row.get(figure) is not None for row in rows)]
    text, first = io.StringIO(), dict[str, int]()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*NO_FIGURES, *kept])
    for row in rows:
        representative = first.setdefault(canonical(row["arch"]), row["index"])
        writer.writerow([row["index"], row["arch"], representative, *(row.get(figure) for figure in kept)])
    content = text.getvalue().encode()
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def _lines(path: Path) -> list[list[str]]:
    """Return the lines of a CSV file, at least one."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
        return list(csv.reader(text.splitlines())) or [[]]
    except FileNotFoundError as error:
        raise InputError(f"There is no table '{path}'.") from error
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise InputError(f"The table '{path}' cannot be read: {error}.") from error
