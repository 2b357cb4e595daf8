"""``archgrad predict``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archgrad.cli.options import DeviceOption, JsonOption, PluginOption, RunArgument, examples
from archgrad.cli.output import kept_clean, print_json, print_table, say
from archgrad.runs.writing import write_atomically, writing

NAME = "predict"
EXAMPLES = examples(
    "archgrad predict runs/darts-digits-s0 seven.png",
    "archgrad predict runs/darts-digits-s0 photos/ --json",
    "archgrad predict runs/darts-csv-s0 series.csv --out forecast.csv",
)


def command(
    run: RunArgument,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Image files, folders of them, .npy arrays; for series a CSV file."),
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the answers there, as CSV.")] = None,
    device: DeviceOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a trained network makes of its inputs.

    Forecasts are printed as CSV, with the dates continued.
    """
    with kept_clean(as_json):
        from archgrad.api.predict import predict
        from archgrad.api.settings import load_plugin

        load_plugin(plugin)
        answers = [(path, answer) for path in inputs for answer in predict(run, path, device=device or "auto")]
    # forecasts of several tables say which one they follow; an image has its name in the answer already
    found = [{"input": str(path), **answer} if len(inputs) > 1 else answer for path, answer in answers]
    if out is not None:
        with writing(out.parent, 0):
            out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, csv_text(found).encode())
    if as_json:
        print_json({"run": str(run), "predictions": found})
    elif out is not None:
        say(f"Written to {out}.")
    elif found and "class" not in found[0]:
        say(csv_text(found).rstrip("\n"))
    else:
        rows = [(str(answer["input"]), str(answer["class"]), f"{answer['probability']:.3f}") for answer in found]
        print_table(("input", "class", "probability"), rows, right=(2,))


def csv_text(answers: Sequence[Mapping[str, Any]]) -> str:
    """Return answers as comma-separated values, a line of names first.

    Args:
        answers: as :func:`archgrad.predict` gives them; what is no single value in them is left out.
    """
    names = [name for name, value in answers[0].items() if not isinstance(value, Mapping)] if answers else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for answer in answers:
        values = (answer[name] for name in names)
        writer.writerow([f"{value:.8g}" if isinstance(value, float) else value for value in values])
    return text.getvalue()
