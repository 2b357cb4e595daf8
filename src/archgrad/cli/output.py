"""What goes to stdout: one JSON object with ``--json``, else text and small tables."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

__all__ = [
    "amount",
    "is_main",
    "kept_clean",
    "mebibytes",
    "metrics_words",
    "print_facts",
    "print_json",
    "print_table",
    "say",
    "table_facts",
    "warn",
]

WIDTH = 160
"""Columns of a table that goes to no terminal."""


def is_main() -> bool:
    """Say whether this process prints: of several that ``torchrun`` started, the first one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def kept_clean(as_json: bool) -> Iterator[None]:
    """With ``--json`` send what anything else prints meanwhile (a plugin, a library) to stderr."""
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def print_json(document: Mapping[str, Any]) -> None:
    """Print one object on one line; numbers that JSON lacks become null, paths become text."""
    if is_main():
        print(json.dumps(_valid(document), ensure_ascii=False, allow_nan=False))


def say(*lines: str) -> None:
    """Print lines of text."""
    if is_main():
        print("\n".join(lines))


def warn(message: str) -> None:
    """Print a warning on stderr, where it is no part of the result."""
    if is_main():
        print(f"Warning: {message}", file=sys.stderr)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print what is known, one line each: name -> value."""
    print_table(("", ""), facts.items())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """Print a small table.

    Args:
        headings: of the columns; no heading is printed if all are empty.
        rows: as many texts each.
        right: columns of figures, which line up on the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    figures = set(right)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=any(headings), header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index in figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if is_main():
        # a file or a pipe has no width of its own, and a table of figures should not be folded for it
        Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


def amount(value: float | None, unit: str = "") -> str:
    """Return a figure in few digits: 0.9731 -> "0.9731", 1930618 -> "1,930,618"."""
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text} {unit}".rstrip()


def mebibytes(value: float) -> str:
    """Return an amount of memory: 0.52 -> "0.5 MiB", 1234.5 -> "1,234 MiB"."""
    return f"{value:,.1f} MiB" if value < 100 else f"{value:,.0f} MiB"


def metrics_words(metrics: Mapping[str, float]) -> str:
    """Return metrics in one line, the loss last: ``accuracy 97.3 %, loss 0.0912``."""
    names = sorted(metrics, key=lambda name: name == "loss")
    return ", ".join(
        f"{name} {metrics[name]:.1%}".replace("%", " %") if name == "accuracy" else f"{name} {metrics[name]:.4g}"
        for name in names
    )


def table_facts(about: Mapping[str, Any]) -> dict[str, str]:
    """Return what a table of trained cells says of one as lines of facts.

    Args:
        about: as :meth:`archgrad.tasks.cell_table.CellTable.about` returns it.
    """
    if about["figures"] is None:
        return {"in the table": "not this cell"} | _isomorphic(about)
    facts = {f"table, {name}": "-" if value is None else f"{value:.10g}" for name, value in about["figures"].items()}
    first = next(iter(facts))
    if about["rank"] is not None:
        facts[first] += f", rank {about['rank']:,} of {about['of']:,}"
    return facts | _isomorphic(about)


def _isomorphic(about: Mapping[str, Any]) -> dict[str, str]:
    if about["isomorphic_mean"] is None or about["isomorphic"] <= (about["figures"] is not None):
        return {}
    return {"isomorphic cells there": f"{about['isomorphic']:,}, mean {about['isomorphic_mean']:.6g}"}


def _valid(value: Any) -> Any:
    """Return a value as plain JSON data."""
    if isinstance(value, Mapping):
        return {str(key): _valid(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_valid(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (str, int)):
        return value
    return str(value)
