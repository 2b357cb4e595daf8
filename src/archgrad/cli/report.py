"""``archgrad report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archgrad.cli.options import JsonOption, examples
from archgrad.cli.output import kept_clean, print_json, say

NAME = "report"
EXAMPLES = examples(
    "archgrad report runs/darts-digits-s0",
    "archgrad report runs/darts-digits-s0 runs/random-digits-s0 --out both.html",
)


def command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories; several are shown side by side.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="The page; else RUN/report.html, or beside the first of several runs."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write report.html: cells, curves, figures and settings.

    One page a run, or several runs side by side; it needs no network.
    """
    with kept_clean(as_json):
        from archgrad.api.report import report

        path = report(runs, out)
    if as_json:
        print_json({"runs": [str(run) for run in runs], "path": str(path)})
    else:
        say(str(path))
