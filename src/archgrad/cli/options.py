"""The options that several verbs share, written once, so that they mean and say the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "DataOption",
    "DeviceOption",
    "JsonOption",
    "PluginOption",
    "ResumeOption",
    "RunArgument",
    "RunOption",
    "SeedOption",
    "SetOption",
    "SourceArgument",
    "TableOption",
    "TrackOption",
    "examples",
]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.")]
SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_ARCHITECTURE_OR_PUBLISHED_NAME",
        help="Directory of a run, an architecture.json, a cell that 'archgrad list published' shows, or in quotes an "
        "architecture string of NAS-Bench-201.",
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="SPEC",
        help="Such as digits, cifar10:PATH, imagefolder:PATH, macro, csv:PATH, pydoc, text:PATH, hf:NAME.",
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Of everything random.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as supernet.cells=5; may be repeated."),
]
PluginOption = Annotated[
    str | None,
    typer.Option("--plugin", metavar="MODULE", help="Python module to import first; it registers your own parts."),
]
RunOption = Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Where to write the run.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run from its newest whole checkpoint.")]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--table", metavar="FILE", help="CSV of trained cells to look derived ones up in (space nasbench201)."
    ),
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Send the log's figures to tensorboard, mlflow or wandb as well; may be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]


def examples(*commands: str) -> str:
    """Return the end of a verb's help: commands as they are typed, one a line."""
    lines = "\n".join(f"  {command}" for command in commands)
    return f"\b\nExample{'s' * (len(commands) > 1)}:\n{lines}"
