"""The program: its verbs put together. Importing it imports no torch, so that ``archgrad --help`` is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from archgrad.cli import (
    baselines,
    compare,
    derive,
    evaluate,
    export,
    listing,
    predict,
    report,
    search,
    show,
    table,
    train,
)
from archgrad.cli.errors import INTERRUPTED, interruption, reporting
from archgrad.errors import unknown

__all__ = ["app"]


class Program(TyperGroup):
    """The verbs, with every way to fail in one place."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> Any:
        """Run one command line and exit with the code of the contract."""
        words = list(sys.argv[1:] if args is None else args)
        with reporting():
            # not standalone: what goes wrong is raised here instead of being shown typer's way
            code = super().main(words or ["--help"], "archgrad", standalone_mode=False, obj={"words": words})
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb, or name the nearest one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown("verb", args[0], self.commands)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; Ctrl-C leaves with 130 and says how to go on."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            print(interruption(error, ctx.invoked_subcommand), file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


# Plain help: typer's boxes cost as much time as all the rest.
app = typer.Typer(cls=Program, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from archgrad import __version__

        typer.echo(f"archgrad {__version__}")
        raise typer.Exit


@app.callback(
    help="Find neural network architectures by gradient descent, and get an ordinary trained PyTorch network back.",
    epilog="'archgrad VERB --help' shows an example of each. Exit codes: 0 done, 1 the run failed, 2 the words or the "
    "input are wrong, 130 interrupted.",
)
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


for _verb in (search, derive, train, evaluate, baselines, predict, export, show, report, compare, table, listing):
    app.command(_verb.NAME, epilog=_verb.EXAMPLES)(_verb.command)
