"""``archgrad predict``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archgrad.cli.options import DeviceOption, JsonOption, PluginOption, RunArgument, SeedOption, examples
from archgrad.cli.output import kept_clean, print_json, print_table, say
from archgrad.runs.writing import write_atomically, writing

NAME = "predict"
EXAMPLES = examples(
    "archgrad predict runs/darts-digits-s0 seven.png",
    "archgrad predict runs/darts-digits-s0 photos/ --json",
    "archgrad predict runs/darts-csv-s0 series.csv --out forecast.csv",
    'archgrad predict runs/darts-pydoc-s0 "the following" --length 50 --temperature 0.7 --seed 1',
)


def command(
    run: RunArgument,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Image files, folders of them, .npy arrays; for series a CSV file; a text to continue, or its file.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the answers there, as CSV.")] = None,
    length: Annotated[int | None, typer.Option("--length", metavar="N", help="Tokens to continue a text by.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="T", help="Of a text: 0 takes the likeliest token.")
    ] = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a trained network makes of its inputs.

    Forecasts are printed as CSV, with the dates continued; texts with what follows.
    """
    with kept_clean(as_json):
        from archgrad.api.predict import predict
        from archgrad.api.settings import load_plugin

        load_plugin(plugin)
        words = {"length": length, "temperature": temperature, "seed": seed}
        answers = [
            (given, answer)
            for given in inputs
            for answer in predict(run, _file_or_text(given), device=device or "auto", **words)  # type: ignore[arg-type]
        ]
    # forecasts of several tables say which one they follow; an image has its name in the answer already
    found = [{"input": given, **answer} if len(inputs) > 1 else answer for given, answer in answers]
    if out is not None:
        with writing(out.parent, 0):
            out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, csv_text(found).encode())
    if as_json:
        print_json({"run": str(run), "predictions": found})
    elif out is not None:
        say(f"Written to {out}.")
    elif found and "text" in found[0]:
        for answer in found:
            say(f"{answer['prompt'].rstrip()} {answer['text']}")
            if answer["unknown"]:
                say(f"Not in the vocabulary, and read as <unk>: {', '.join(answer['unknown'])}.")
    elif found and "class" not in found[0]:
        say(csv_text(found).rstrip("\n"))
    else:
        rows = [(str(answer["input"]), str(answer["class"]), f"{answer['probability']:.3f}") for answer in found]
        print_table(("input", "class", "probability"), rows, right=(2,))


def _file_or_text(given: str) -> str | Path:
    """Return the path of a file or folder, or what may be a text."""
    try:
        return Path(given) if Path(given).exists() else given
    except OSError:  # a text that is too long for a name
        return given


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
