"""``archgrad show``."""

from __future__ import annotations

from typing import Annotated

import typer

from archgrad.cli.options import DeviceOption, JsonOption, PluginOption, SourceArgument, TableOption, examples
from archgrad.cli.output import amount, kept_clean, mebibytes, print_facts, print_json, say, table_facts
from archgrad.errors import InputError

NAME = "show"
EXAMPLES = examples(
    "archgrad show DARTS_V2",
    "archgrad show runs/darts-digits-s0 --cells 8 --channels 16",
    "archgrad show SNAS_MILD --latency --batch 8",
    "archgrad show '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|none~2|' --table cells.csv.gz",
)


def command(
    source: SourceArgument,
    cells: Annotated[int | None, typer.Option("--cells", metavar="N", help="Cells in the stack.")] = None,
    channels: Annotated[int | None, typer.Option("--channels", metavar="N", help="Channels of the first cell.")] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", metavar="CxHxW", help="Of one image, such as 3x32x32.")
    ] = None,
    classes: Annotated[int | None, typer.Option("--classes", metavar="N", help="Number of classes.")] = None,
    latency: Annotated[bool, typer.Option("--latency", help="Measure the milliseconds of a forward here.")] = False,
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Images in that forward.")] = 1,
    table: TableOption = None,
    device: DeviceOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the cells; sizes and latency of their network.

    Sizes that are not given follow from the run; for an architecture alone they are those of DARTS on CIFAR-10.
    """
    shape = _shape(input_shape)
    with kept_clean(as_json):
        from archgrad.api.settings import load_plugin
        from archgrad.api.show import show

        load_plugin(plugin)
        shown = show(
            source,
            cells=cells,
            channels=channels,
            input_shape=shape,
            classes=classes,
            latency=latency,
            batch=batch,
            table=table,
            device=device or "auto",
        )
    if as_json:
        print_json(shown)
        return
    say(shown["text"], "")
    network = shown["network"]
    if network is None:
        say("This version cannot build networks of these cells, so their sizes are unknown.")
        return
    parameters = f"{amount(shown['parameters'])}, {mebibytes(shown['parameters_mb'])}"
    if "tokens" in network:
        words = f"language model, {network['hidden']} units, {network['tokens']} tokens, tied embeddings"
        print_facts({"network": words, "parameters": parameters})
        return
    sides = "x".join(str(side) for side in network["input_shape"])
    measured = {f"milliseconds, batch {batch}": amount(shown["latency_ms"])} if latency else {}
    print_facts(
        {
            "network": f"cells {network['cells']}, channels {network['channels']}",
            "images": f"{sides}, {network['classes']} classes",
            "parameters": parameters,
            "multiply-adds of one image": amount(shown["flops"]),
            "numbers read and written": amount(shown["memory_access"]),
            "kept of one image in training": mebibytes(shown["activations_mb"]),
            **measured,
            **({"architecture string": shown["string"]} if shown["string"] else {}),
            **(table_facts(shown["table"]) if table else {}),
        }
    )


def _shape(text: str | None) -> tuple[int, ...] | None:
    """Read ``3x32x32``."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 3 or not all(side.isascii() and side.isdigit() for side in sides):
        raise InputError(f"--input-shape is '{text}'; it must be channels, height and width, such as 3x32x32.")
    return tuple(int(side) for side in sides)
