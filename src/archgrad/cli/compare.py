"""``archgrad compare``."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archgrad.api.compare_figures import FIGURES
from archgrad.cli.options import DataOption, DeviceOption, JsonOption, PluginOption, SetOption, TableOption, examples
from archgrad.cli.output import amount, is_main, kept_clean, print_json, print_table, say
from archgrad.errors import InputError, RunError

NAME = "compare"
EXAMPLES = examples(
    "archgrad compare darts random --seeds 5 --epochs 20 --set train.epochs=30 --set train.cells=5",
    "archgrad compare darts 'darts relaxation=clipped' 'both: darts relaxation=clipped schedule=informed' --seeds 4-7",
    "archgrad compare darts darts-second-order --seeds 3 --output table.md",
)

HEADINGS = {figure.name: figure.heading for figure in FIGURES}


def command(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="Names that 'archgrad list recipes' shows, each alone or in quotes with settings of its own: "
            "'[NAME: ]RECIPE [KEY=VALUE]...'. The first is the standard.",
        ),
    ],
    data: DataOption = None,
    space: Annotated[
        str | None, typer.Option("--space", metavar="NAME", help="In place of the recipes' space.")
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds", metavar="N", help="Seeds 0 to N-1; or the seeds themselves: 4-7, or 1,3,5, or 5-5 for one."
        ),
    ] = "3",
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Of every search.")] = None,
    settings: SetOption = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Runs at a time, a process each.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the table too: .csv, .md or .json.")
    ] = None,
    device: DeviceOption = None,
    run: Annotated[
        Path, typer.Option("--run", metavar="DIR", help="Folder of all runs; complete ones are not done again.")
    ] = Path("runs/compare"),
    children: Annotated[
        int,
        typer.Option(
            "--children", metavar="N", help="Judge N random children of every supernet beside the derived one."
        ),
    ] = 0,
    table: TableOption = None,
    rank_correlation: Annotated[
        bool,
        typer.Option(
            "--rank-correlation", help="Have every supernet judge random cells of the table; Kendall and Spearman."
        ),
    ] = False,
    rank_cells: Annotated[int, typer.Option("--rank-cells", metavar="N", help="How many cells that are.")] = 100,
    retrain: Annotated[
        bool, typer.Option("--train/--no-train", help="Train what is found from scratch, and test it.")
    ] = True,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Measure standard models of equal size beside the first recipe's networks."),
    ] = False,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare recipes over several seeds in one table.

    Searches with every recipe and seed and trains what they find alike. A recipe in quotes may have settings of its own
    and a name. Killed and called again with the same words it goes on with what is missing.
    """
    if output and output.suffix not in WRITERS:
        raise InputError(f"--output is {output}; it must end in {', '.join(WRITERS)}.")
    if workers < 1:
        raise InputError(f"--workers is {workers}; it must be at least 1.")
    with kept_clean(as_json):
        from archgrad.api.compare import compare
        from archgrad.runs.config import parse_set
        from archgrad.runs.writing import write_atomically

        result = compare(
            recipes,
            data=data or "digits",
            space=space,
            seeds=_seeds(seeds),
            epochs=epochs,
            settings=parse_set(settings or []) or None,
            device=device,
            run=run,
            children=children,
            table=table,
            rank_correlation=rank_cells if rank_correlation else 0,
            retrain=retrain,
            baselines=baselines,
            workers=0 if _is_shared() else workers,
            plugin=plugin,
            on_run=_done,
            say=_say,
        )
        if output:
            write_atomically(output, WRITERS[output.suffix](result.table).encode())
    failed = [row for row in result.runs if "error" in row]
    if as_json:
        print_json(result.to_dict())
    else:
        rows, verdicts = _rows(result.table), _verdicts(result.table)
        print_table(rows[0], rows[1:], right=range(1, len(rows[0])))
        say("Mean and spread (standard deviation over the seeds).")
        if verdicts:
            say("")
            print_table(verdicts[0], verdicts[1:], right=range(1, len(verdicts[0])))
            say(f"p: permutation test against {result.table[0]['arm']}, and adjusted for the number of arms (Holm).")
        say(f"Written to {result.path}; {result.path / 'compare.html'} shows it.")
    if failed:
        raise RunError(
            f"{len(failed)} of {len(result.runs)} runs failed; the same command tries them again. "
            + " ".join(f"{row['arm']}, seed {row['seed']}: {row['error']}" for row in failed[:5])
        )


def _is_shared() -> bool:
    """Say whether several processes (``torchrun``) share every run, which then is done in them."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _seeds(words: str) -> int | list[int]:
    """Return how many seeds are meant, or which: ``3``, ``4-7``, ``0,2,4-7``."""
    if re.fullmatch(r"\d+", words):
        return int(words)
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)+|\d+-\d+", words.replace(" ", "")):
        raise InputError(f"--seeds is '{words}'; it must be how many, such as 3, or which, such as 4-7 or 1,3,5.")
    spans = [part.partition("-") for part in words.replace(" ", "").split(",")]
    return [seed for first, _, last in spans for seed in range(int(first), int(last or first) + 1)]


def _done(row: Mapping[str, Any]) -> None:
    """Say on stderr that a run is done."""
    if "error" in row:
        _say(f"{row['arm']}, seed {row['seed']}: failed. {row['error']}")
        return
    what = next(figure for figure in ("test", "table", "child", "derived_validation") if figure in row)
    _say(f"{row['arm']}, seed {row['seed']}: {HEADINGS[what]} {row['metric']} {amount(row[what])}")


def _say(words: str) -> None:
    """Say something on stderr while the comparison runs."""
    if is_main():
        print(words, file=sys.stderr)


def _rows(table: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the table as text, the headings first; figures that no recipe has are left out."""
    shown = [figure for figure in HEADINGS if any(figure in entry for entry in table)]
    rows = [["recipe", "runs", *(HEADINGS[figure] for figure in shown)]]
    for entry in table:
        runs = max((entry[figure]["runs"] for figure in shown if figure in entry), default=0)
        rows.append([entry["arm"], str(runs), *(_spread(entry.get(figure)) for figure in shown)])
    return rows


def _verdicts(table: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return intervals, ranks and tests of the main figure as text, the headings first; nothing of a single arm."""
    from archgrad.reporting.compare_statistics import main_figure

    main = main_figure([figure for entry in table for figure in entry])
    if main is None or len(table) < 2:
        return []
    rows = [[HEADINGS[main], "mean", "95 % interval", "rank", "p", "p, Holm"]]
    for entry in table:
        figure = entry.get(main, {})
        ends = [amount(figure.get(end)) for end in ("low", "high")]
        interval = " to ".join(ends) if figure.get("low") is not None else "-"
        words = [amount(figure.get(measure)) for measure in ("rank", "p", "p_holm")]
        rows.append([entry["arm"], amount(figure.get("mean")), interval, *words])
    return rows


def _spread(figure: Mapping[str, Any] | None) -> str:
    """Return ``mean ± spread``."""
    if figure is None:
        return "-"
    mean = f"{figure['mean']:,.0f}" if abs(figure["mean"]) >= 1000 else amount(float(figure["mean"]))
    return mean if figure["spread"] is None else f"{mean} ± {figure['spread']:.2g}"


def _csv(table: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    measures = ("mean", "spread", "best", "runs", "low", "high", "rank", "p", "p_holm")
    writer.writerow(["arm", "recipe", *(f"{figure}_{measure}" for figure in HEADINGS for measure in measures)])
    for entry in table:
        row = [entry.get(figure, {}).get(measure) for figure in HEADINGS for measure in measures]
        writer.writerow([entry["arm"], entry["recipe"], *row])
    return text.getvalue()


def _markdown(table: Sequence[Mapping[str, Any]]) -> str:
    from archgrad.reporting.markdown import markdown_table

    return "\n".join(markdown_table(rows) + "\n" for rows in (_rows(table), _verdicts(table)) if rows)


def _json(table: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(table, indent=2) + "\n"


WRITERS = {".csv": _csv, ".md": _markdown, ".json": _json}
