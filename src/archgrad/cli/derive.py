"""``archgrad derive``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from archgrad.cli.options import JsonOption, PluginOption, RunArgument, SetOption, examples
from archgrad.cli.output import kept_clean, print_json, say, warn

NAME = "derive"
EXAMPLES = examples(
    "archgrad derive runs/darts-digits-s0 --epoch 10",
    "archgrad derive runs/darts-digits-s0 --best --out best.json",
    "archgrad derive runs/darts-digits-s0 --set derivation.k=1 --out one-edge.json",
)


def command(
    run: RunArgument,
    rule: Annotated[
        str | None,
        typer.Option("--rule", metavar="NAME", help="In place of the run's; see 'archgrad list derivations'."),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option("--epoch", metavar="N", help="From the checkpoint after N epochs; else from the newest."),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="From the epoch whose cell was worth most on held-out data; says why.")
    ] = False,
    settings: SetOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the architecture there and leave the run as it is."),
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Derive the architecture again, from any epoch, with any rule.

    Writes architecture.json and architecture.svg of the run again, unless --out names another file.
    """
    with kept_clean(as_json):
        from archgrad.api.derive import derive
        from archgrad.api.derive_best import best_epoch
        from archgrad.api.settings import load_plugin
        from archgrad.reporting.drawing import draw_svg
        from archgrad.reporting.text import draw_text
        from archgrad.runs.config import parse_set
        from archgrad.runs.directory import RunDirectory

        load_plugin(plugin)
        architecture = derive(run, rule=rule, epoch=epoch, best=best, settings=parse_set(settings or []) or None)
        chosen = best_epoch(run) if best else None
        directory = RunDirectory(run)
        path = out or directory.architecture
        if out:
            architecture.save(out)
        else:
            changed = not path.is_file() or path.read_text(encoding="utf-8") != architecture.to_json()
            if changed and directory.model.is_file():
                warn(f"{directory.model} still holds the network of the architecture of before.")
            directory.write_text(path, architecture.to_json())
            directory.write_text(directory.drawing, draw_svg(architecture))
    # a trained network is not overwritten, so another one needs a directory of its own
    place = " --run DIR" if not out and directory.model.is_file() else ""
    if as_json:
        reason = {"best": {**asdict(chosen), "why": chosen.why}} if chosen else {}
        print_json({"run": str(run), "path": str(path), "architecture": architecture.to_dict(), **reason})
    else:
        say(draw_text(architecture), "", *([chosen.why] if chosen else []))
        say(f"Written to {path}. Next: archgrad train {out or run}{place}")
