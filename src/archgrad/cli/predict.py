"""``archgrad predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archgrad.cli.options import DeviceOption, JsonOption, PluginOption, RunArgument, examples
from archgrad.cli.output import kept_clean, print_json, print_table

NAME = "predict"
EXAMPLES = examples(
    "archgrad predict runs/darts-digits-s0 seven.png", "archgrad predict runs/darts-digits-s0 photos/ --json"
)


def command(
    run: RunArgument,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Image files, folders of them, or .npy arrays.")
    ],
    device: DeviceOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a trained network takes its inputs for."""
    with kept_clean(as_json):
        from archgrad.api.predict import predict
        from archgrad.api.settings import load_plugin

        load_plugin(plugin)
        found = [answer for path in inputs for answer in predict(run, path, device=device or "auto")]
    if as_json:
        print_json({"run": str(run), "predictions": found})
    else:
        rows = [(str(answer["input"]), str(answer["class"]), f"{answer['probability']:.3f}") for answer in found]
        print_table(("input", "class", "probability"), rows, right=(2,))
