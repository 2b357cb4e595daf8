"""``archgrad train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archgrad.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    PluginOption,
    ResumeOption,
    RunOption,
    SeedOption,
    SetOption,
    SourceArgument,
    TrackOption,
    examples,
)
from archgrad.cli.output import amount, kept_clean, metrics_words, print_facts, print_json, say
from archgrad.cli.places import free_directory
from archgrad.cli.progress import Bar

NAME = "train"
EXAMPLES = examples(
    "archgrad train runs/darts-digits-s0 --epochs 50 --cells 5 --channels 16",
    "archgrad train DARTS_V2 --data cifar10:PATH --run runs/darts-v2",
    "archgrad train runs/darts-digits-s0 --inherit --epochs 10",
    "archgrad train runs/darts-macro-s0 --set train.hidden=32",
)


def command(
    ctx: typer.Context,
    source: SourceArgument,
    data: DataOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Of the training.")] = None,
    cells: Annotated[int | None, typer.Option("--cells", metavar="N", help="Cells in the stack.")] = None,
    channels: Annotated[int | None, typer.Option("--channels", metavar="N", help="Channels of the first cell.")] = None,
    inherit: Annotated[bool, typer.Option("--inherit", help="Start from the supernet's weights, at its size.")] = False,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    track: TrackOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the network of an architecture.

    It learns from everything but the test part, on which it is measured at the end. Without --run a run's own
    directory takes the network, and an architecture gets a new one under runs/. Sizes that are not given are the run's
    train.cells and train.channels (DARTS' own, 20 and 36), of a recurrent cell train.hidden.
    """
    from archgrad.runs.config import parse_set

    words: dict[str, Any] = {"data": data, "epochs": epochs, "cells": cells, "channels": channels, "seed": seed}
    with kept_clean(as_json), Bar("training") as bar:
        from archgrad.api.train import train
        from archgrad.api.train_origin import find_origin

        if run is None and not resume and not Path(source).is_dir():
            spec = data or find_origin(source).config.data.spec
            run = free_directory(Path(source).stem, spec, seed or 0)
        result = train(
            source,
            **words,
            inherit=inherit,
            settings=parse_set(settings or []) or None,
            device=device or "auto",
            run=run,
            resume=resume,
            track=track or (),
            plugin=plugin,
            progress=bar,
            command=ctx.obj["words"],
        )
    if as_json:
        print_json(result.to_dict())
        return
    known = {"cells": result.cells, "channels": result.channels, "hidden units": result.hidden}
    sizes = [f"{name} {value}" for name, value in known.items() if value is not None]
    print_facts(
        {
            "test": metrics_words(result.metrics),
            "network": ", ".join([*sizes, f"epochs {result.epochs}"]),
            "parameters": amount(result.parameters),
            "multiply-adds of one example": amount(result.flops),
            "seconds": f"{result.seconds:.1f}",
        }
    )
    say(f"Written to {result.run}. Next: archgrad export {result.run} --to onnx, archgrad report {result.run}")
