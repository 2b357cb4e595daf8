"""``archgrad table``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from archgrad.cli.options import JsonOption, examples
from archgrad.cli.output import is_main, kept_clean, print_json, say

NAME = "table"
EXAMPLES = examples("archgrad table NATS-tss-v1_0-3ffb9-simple --output cells.csv.gz")

TOLD_EVERY = 1000
"""Cells between two words on stderr."""


def command(
    official: Annotated[
        Path,
        typer.Argument(
            metavar="OFFICIAL",
            help="A published file of NAS-Bench-201 or NATS-Bench (.pth or .pickle.pbz2), or the folder.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The table: .csv or .csv.gz.")] = Path(
        "cells.csv.gz"
    ),
    as_json: JsonOption = False,
) -> None:
    """Make a table of trained cells.

    The table is what --table takes elsewhere; it is made of the published files of NAS-Bench-201 or NATS-Bench. Those
    are read as data and nothing in them is run; one that asks for more is refused.
    """
    with kept_clean(as_json):
        from archgrad.tasks.cell_table import write_table
        from archgrad.tasks.cell_table_official import COLUMNS, read_official

        rows = read_official(official, _told)
        path = write_table(output, rows, COLUMNS)
    if as_json:
        print_json({"table": str(path), "cells": len(rows)})
    else:
        say(f"{len(rows):,} cells. Written to {path}. Next: archgrad search --space nasbench201 --table {path}")


def _told(done: int, of: int) -> None:
    if done % TOLD_EVERY == 0 and is_main():
        print(f"{done:,} of {of:,} cells", file=sys.stderr)
