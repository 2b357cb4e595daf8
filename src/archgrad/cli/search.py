"""``archgrad search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    TableOption,
    TrackOption,
    examples,
)
from archgrad.cli.output import (
    amount,
    kept_clean,
    mebibytes,
    metrics_words,
    print_facts,
    print_json,
    say,
    table_facts,
    warn,
)
from archgrad.cli.places import free_directory
from archgrad.cli.progress import Bar
from archgrad.errors import InputError

if TYPE_CHECKING:
    from archgrad.api.search import SearchResult

NAME = "search"
EXAMPLES = examples(
    "archgrad search entrannas --data digits --epochs 20 --set supernet.cells=5 --set data.batch=64",
    "archgrad search --config runs/entrannas-digits-s0/config.yaml --seed 1",
    "archgrad search --resume --run runs/entrannas-digits-s0",
    "archgrad search growing --data csv:series.csv --online",
)


def command(
    ctx: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="A name that 'archgrad list recipes' shows; entrannas if not given."),
    ] = None,
    data: DataOption = None,
    space: Annotated[
        str | None, typer.Option("--space", metavar="NAME", help="In place of the recipe's space.")
    ] = None,
    settings: SetOption = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="YAML file of settings, such as a run's config.yaml."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Of the search.")] = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    table: TableOption = None,
    track: TrackOption = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print sizes and a forecast of the memory; nothing is searched or written."),
    ] = False,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Read csv:PATH once, in order: forecast every window, then learn from it; --resume goes on with "
            "appended rows.",
        ),
    ] = False,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search for an architecture by gradient descent.

    Writes the run directory and prints the cell and a summary. Without --run that is a new directory under runs/. What
    is set on the command line counts most, then --config, then the recipe.
    """
    from archgrad.runs.config import parse_set

    words: dict[str, Any] = {"data": data, "space": space, "config": config, "epochs": epochs, "seed": seed}
    words |= {"device": device, "settings": parse_set(settings or []) or None, "plugin": plugin}
    if online:
        if dry_run or table or track or epochs is not None:
            raise InputError("--online reads a stream once: leave --dry-run, --table, --track and --epochs out.")
        _stream(ctx, recipe, words, run, resume, as_json)
        return
    if dry_run:
        if resume:
            raise InputError("--dry-run looks at a new search; leave --resume out.")
        _forecast(recipe, words, as_json)
        return
    with kept_clean(as_json), Bar("search") as bar:
        from archgrad.api.search import search

        run = run if run or resume else _place(recipe, words)
        words |= {"table": table, "track": track or ()}
        result = search(recipe, **words, run=run, resume=resume, progress=bar, command=ctx.obj["words"])
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result)


def _stream(
    ctx: typer.Context, recipe: str | None, words: dict[str, Any], run: Path | None, resume: bool, as_json: bool
) -> None:
    """Search on a stream and print what came of it."""
    del words["epochs"]
    with kept_clean(as_json):
        from archgrad.api.online import online
        from archgrad.reporting.text import draw_text

        run = run if run or resume else _place(recipe or "growing", words)
        result = online(recipe or "growing", **words, run=run, resume=resume, command=ctx.obj["words"])
    if as_json:
        print_json(result.to_dict())
        return
    say(draw_text(result.architecture), "")
    print_facts(
        {
            "windows tested, then learned": amount(result.tested),
            "their mean error": metrics_words(result.prequential),
            "growths": amount(len(result.growths)),
            "seconds": f"{result.seconds:.1f}",
            "peak memory": mebibytes(result.peak_memory_mb),
        }
    )
    say(f"Written to {run}. With more rows in the file: archgrad search --online --resume --run {run}")


def _place(recipe: str | None, words: dict[str, Any]) -> Path:
    """Return a new directory, named after the recipe, the data and the seed that count."""
    from archgrad.api.settings import load_plugin, search_config

    load_plugin(words["plugin"])
    config = search_config(recipe, **{key: value for key, value in words.items() if key != "plugin"})
    return free_directory(str(config.recipe), config.data.spec, config.seed)


def _show(result: SearchResult) -> None:
    """Print the cell, what it is worth, warnings, and what to do next."""
    from archgrad.recipes.nasbench201 import replaced_rule
    from archgrad.reporting.text import draw_text
    from archgrad.space.nasbench201_strings import string_of

    say(draw_text(result.architecture), "")
    replaced, string = replaced_rule(result.config), string_of(result.architecture)
    print_facts(
        {
            "validation, supernet": metrics_words(result.validation),
            "validation, derived cell": metrics_words(result.derived_validation),
            "the same with its weights": metrics_words(result.derived_validation_weighted),
            "parameters of the supernet": amount(result.supernet_parameters),
            "seconds": f"{result.search_seconds:.1f}",
            "peak memory": mebibytes(result.peak_memory_mb),
            **({"derivation": replaced} if replaced else {}),
            **({"architecture string": string} if string else {}),
            **(table_facts(result.table) if result.table else {}),
        }
    )
    for message in result.warnings:
        warn(message)
    say(f"Written to {result.run}. Next: archgrad train {result.run}")


def _forecast(recipe: str | None, words: dict[str, Any], as_json: bool) -> None:
    """Print what the search would be."""
    with kept_clean(as_json):
        from archgrad.api.forecast import forecast

        plan = forecast(recipe, **words)
    if as_json:
        print_json(plan)
        return
    memory, examples_of = plan["memory_mb"], plan["examples"]
    shape = "x".join(str(side) for side in plan["input_shape"])
    sizes = f"cells {plan['cells']}, channels {plan['channels']}" if "cells" in plan else f"{plan['hidden']} units"
    print_facts(
        {
            "search": f"{plan['recipe']}, space {plan['space']}, {sizes}",
            "data": f"{plan['data']}: {shape}" + (f", {plan['classes']} classes" if plan["classes"] else ""),
            "examples": ", ".join(f"{part} {number:,}" for part, number in examples_of.items()),
            "epochs": f"{plan['epochs']:,} of {plan['steps_per_epoch']:,} steps, {plan['batch']} examples a step",
            "parameters of the supernet": amount(plan["supernet_parameters"]),
            "choices": amount(plan["choice_parameters"]),
            "memory: program and data": mebibytes(memory["resident_before"]),
            "memory: weights, gradients, momentum": mebibytes(memory["weights_gradients_momentum"]),
            "memory: kept for the backward": mebibytes(memory["saved_for_backward"]),
            "memory: scratch of the step": mebibytes(memory["scratch"]),
            "memory: held by the allocator": mebibytes(memory["allocator"]),
            "memory in all": mebibytes(memory["total"]),
        }
    )
    say("Nothing was searched or written (--dry-run).")
