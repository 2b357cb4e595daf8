"""``archgrad export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archgrad.cli.options import DeviceOption, JsonOption, PluginOption, RunArgument, examples
from archgrad.cli.output import kept_clean, print_json, say

NAME = "export"
EXAMPLES = examples(
    "archgrad export runs/darts-digits-s0 --to onnx",
    "archgrad export runs/darts-digits-s0 --to python --out digits.py",
)


def command(
    run: RunArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORM",
            help="onnx, torch (a torch.export program), or python (one file that imports torch alone).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PATH", help="A folder or file; else RUN/export.")
    ] = None,
    device: DeviceOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the trained network as a file that runs without archgrad.

    The file is compared with the network before it is put in its place.
    """
    with kept_clean(as_json):
        from archgrad.api.export import export
        from archgrad.api.settings import load_plugin

        load_plugin(plugin)
        result = export(run, to=to, out=out, device=device or "cpu")
    if as_json:
        print_json(result.to_dict())
    else:
        say(*(str(path) for path in result.paths))
        say(f"Its scores differ from the network's by at most {result.max_difference:.1e}.")
