"""``archgrad baselines``."""

from __future__ import annotations

from typing import Annotated

import typer

from archgrad.cli.options import DeviceOption, JsonOption, RunArgument, examples
from archgrad.cli.output import amount, kept_clean, print_json, print_table, say

NAME = "baselines"
EXAMPLES = examples(
    "archgrad baselines runs/darts-macro-s0",
    "archgrad baselines runs/darts-macro-s0 --only lstm --only gru",
)


def command(
    run: RunArgument,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="One baseline; may be repeated.")
    ] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure standard models of equal size beside a trained network.

    Images: logistic regression and a plain convolutional network. Series: last value, seasonal naive, VAR, linear, LSTM
    and GRU. Text: frequencies of words and an LSTM. What is trained gets the network's data, updates, rate and seed.
    """
    with kept_clean(as_json):
        from archgrad.api.baselines import baselines

        result = baselines(run, only=only, device=device or "auto")
    if as_json:
        print_json({"run": str(run), **result.to_dict()})
        return
    rows = [result.found, *result.baselines.values()]
    names = list(result.found.metrics)
    print_table(
        ["", *names, "parameters", "training, s"],
        [
            [row.name, *(amount(row.metrics.get(name)) for name in names), f"{row.parameters:,}", f"{row.seconds:.1f}"]
            for row in rows
        ],
        right=range(1, len(names) + 3),
    )
    for name, reason in result.skipped.items():
        say(f"{name} is left out: {reason}")
