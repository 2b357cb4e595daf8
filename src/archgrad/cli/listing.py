"""``archgrad list``."""

from __future__ import annotations

from typing import Annotated

import typer

from archgrad.cli.options import JsonOption, PluginOption, examples
from archgrad.cli.output import kept_clean, print_json, print_table, say

NAME = "list"
EXAMPLES = examples("archgrad list recipes", "archgrad list derivations")


def command(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="recipes, spaces, operations, data or published; or a kind of part: relaxations, layouts, schedules, "
            "hypergradients, penalties, derivations, growths, morphisms, perturbations.",
        ),
    ],
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what there is, one line each."""
    with kept_clean(as_json):
        from archgrad.api.available import available
        from archgrad.api.settings import load_plugin

        load_plugin(plugin)
        found = available(kind)
    if as_json:
        print_json({kind: found})
    elif found:
        print_table(("name", "what it is"), found.items())
    else:
        say(f"There are no {kind} yet; your own are added with archgrad.register or --plugin.")
