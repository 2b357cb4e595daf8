"""``report``: one page that shows a run, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archgrad.reporting.report import write_report

__all__ = ["report"]


def report(runs: str | Path | Sequence[str | Path], path: str | Path | None = None) -> Path:
    """Write report.html: cells, curves, figures, settings; it needs no network and no archgrad to be read.

    Args:
        runs: one run directory, or several.
        path: the file to write; RUN/report.html of a single run, or a report.html beside the first of several.

    Returns:
        The path of the page.

    Raises:
        InputError: no run, too many for one page, or a path that is no run directory.
        RunError: the page cannot be written; one that was there before is intact.
    """
    given = [Path(runs)] if isinstance(runs, (str, Path)) else [Path(run) for run in runs]
    if path is None and given:
        path = (given[0] if len(set(given)) == 1 else given[0].parent) / "report.html"
    return write_report(given, path or "report.html")
