"""Writes report.html: one file that shows everything about one run, or several side by side, and asks no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archgrad._version import __version__
from archgrad.errors import InputError
from archgrad.reporting import choice_plots, credit_plots, forecast_plots, growth_plots, monitor_plots, plots, summary
from archgrad.reporting.drawing import draw_cell
from archgrad.reporting.notation import COLOURS, kinds_in, printable
from archgrad.reporting.record import Record, read_record
from archgrad.reporting.text import draw_text
from archgrad.runs.writing import write_atomically, writing

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["render_report", "write_report"]

MOST_RUNS = 24


def write_report(runs: Sequence[Path | str], path: Path | str) -> Path:
    """Write the report of one run, or of several side by side.

    It reads ``config.yaml``, ``log.jsonl``, ``architecture.json``, ``forecasts.json`` of a forecaster and the header
    of ``model.safetensors``, nothing else, and says what of it is missing. The same run directories give the same
    bytes.

    Args:
        runs: run directories.
        path: the file to write; its folder is made if need be.

    Returns:
        The path of the report.

    Raises:
        InputError: no run, too many for one page, or a path that is no run directory.
        RunError: the report cannot be written; one that was there before is intact.
    """
    page = render_report([read_record(Path(run)) for run in _checked(runs)]).encode()
    target = Path(path)
    with writing(target, len(page)):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page)
    return target


def _checked(runs: Sequence[Path | str]) -> list[Path | str]:
    kept = list(dict.fromkeys(runs))
    if not kept:
        raise InputError("A report needs at least one run directory: archgrad report RUN...")
    if len(kept) > MOST_RUNS:
        raise InputError(f"{len(kept)} runs were given; one page holds up to {MOST_RUNS}. Write several reports.")
    return kept


def render_report(records: list[Record]) -> str:
    """Return the page for runs that were read.

    Args:
        records: at least one run.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("archgrad.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    names = _names(records)
    operations = [name for r in records if r.architecture for name in summary.operations_of(r.architecture)]
    return environment.get_template("report.html.j2").render(
        title=names[0] if len(names) == 1 else f"{len(names)} runs",
        runs=[_run(record, name, k) for k, (record, name) in enumerate(zip(records, names, strict=True))],
        rows=summary.summary(records),
        comparison=_safe(plots.comparison(records, names, "comparison")),
        legend=[(kind, COLOURS[kind]) for kind in kinds_in(operations)],
        version=__version__,
    )


def _names(records: list[Record]) -> list[str]:
    """Return what each run is called: its directory's name, with the path where two have the same."""
    names = [record.name for record in records]
    return [name if names.count(name) == 1 else str(record.path) for name, record in zip(names, records, strict=True)]


def _run(record: Record, name: str, place: int) -> dict[str, Any]:
    """Return everything that the template shows of one run."""
    problems = list(record.missing)
    cells: list[Markup] = []
    cell_text = ""
    if record.architecture:
        cells = [_safe(draw_cell(record.architecture, kind)) for kind in record.architecture.cells]
        cell_text = draw_text(record.architecture)
    kinds = choice_plots.cell_kinds(record)
    shown = record.architecture.cells if record.architecture else kinds
    figures = [
        ("Losses of the search", plots.losses(record, f"r{place}-loss")),
        ("Supernet and derived cell", plots.validation(record, f"r{place}-validation")),
        ("Size over the epochs", growth_plots.sizes(record, f"r{place}-sizes")),
        *(
            (f"Operations kept, {kind} cell", choice_plots.operations(record, kind, f"r{place}-kept{k}"))
            for k, kind in enumerate(shown)
        ),
        ("Training of the derived network, loss", plots.training_loss(record, f"r{place}-train")),
        ("Training of the derived network, accuracy", plots.training_scores(record, f"r{place}-scores")),
        ("Training of the derived network, validation", forecast_plots.learning_curves(record, f"r{place}-learning")),
        ("Error of the forecasts by step ahead", forecast_plots.errors(record, f"r{place}-steps")),
        ("Monitor", monitor_plots.monitor(record, f"r{place}-monitor")),
        ("Schedule of the choices", monitor_plots.schedule(record, f"r{place}-schedule")),
        ("Penalties", monitor_plots.penalties(record, f"r{place}-penalties")),
    ]
    ahead = [("Forecasts and truth, of the test part", forecast_plots.forecasts(record, f"r{place}-forecasts"))]
    maps = [
        (f"Expected weights, {kind} cell", choice_plots.weights(record, kind, f"r{place}-weights{k}"))
        for k, kind in enumerate(kinds)
    ] + [
        (f"What every edge earned, {kind} cell", credit_plots.credit(record, kind, f"r{place}-credit{k}"))
        for k, kind in enumerate(credit_plots.credited_kinds(record))
    ]
    return {
        "name": name,
        "anchor": f"run-{place}",
        "status": summary.status(record),
        "headline": summary.headline(record),
        "missing": problems,
        "warnings": summary.notes(record),
        "cells": cells,
        "cell_text": cell_text,
        "growths": [(title, [_safe(cell) for cell in both]) for title, both in growth_plots.grown_cells(record)],
        "architecture": record.architecture.to_json() if record.architecture else "",
        "figures": [(title, _safe(figure)) for title, figure in figures if figure],
        "forecasts": [(title, _safe(figure)) for title, figure in ahead if figure],
        "maps": [(title, _safe(figure)) for title, figure in maps if figure],
        "commands": summary.commands(record),
        "data_is_named": summary.data_is_named(record),
        "config": record.config_text,
    }


def _safe(svg: str | None) -> Any:
    """Mark a drawing of our own, in which every name is escaped already, as fit for the page."""
    from markupsafe import Markup

    return None if svg is None else Markup(svg)
