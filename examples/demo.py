"""The whole way on bundled data: search, train, evaluate, compare, export, report. `make demo` runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import archgrad
from archgrad.tasks.baselines import logistic_regression, plain_network
from archgrad.tasks.data import open_data
from archgrad.tasks.equal_size import MeasuredBaseline

BATCH, RATE = 64, 0.1
SETTINGS = {
    "supernet.cells": 3,
    "supernet.channels": 8,
    "data.batch": BATCH,
    # a hundred steps on few images: at the rate that suits the thousands of CIFAR-10 nothing would be decided
    "choices.rate": 0.02,
    # a short training of a small network on small images: what regularises 600 epochs would only slow it down
    "train.cells": 3,
    "train.channels": 16,
    "train.batch": BATCH,
    "train.rate": RATE,
    "train.drop_path": 0.0,
    "train.auxiliary": 0.0,
    "train.cutout": 0,
}


def main() -> None:
    """Run the demo; print its table and the path of the report."""
    options = arguments()
    # Images of 8x8 pixels are so little work that a second thread would wait more than help.
    torch.set_num_threads(1)
    console, run = Console(), free_directory(options.run)
    columns = TextColumn("{task.description:<30}"), BarColumn(), TextColumn("{task.percentage:3.0f} %")
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        searching, training, comparing, writing = (
            progress.add_task(what, total=None, start=False)
            for what in ("Search on 8x8 digits", "Train the found network", "Train two baselines", "Export and report")
        )

        found = archgrad.search(
            "entrannas",
            data="digits",
            seed=options.seed,
            epochs=options.epochs,
            run=run,
            settings={**SETTINGS, "train.epochs": options.train_epochs},
            progress=bar(progress, searching, lambda state: state.parts.epochs * state.steps_per_epoch),
        )
        console.print(archgrad.show(run)["text"], highlight=False)
        digits = open_data("digits", seed=options.seed, batch=BATCH, choice_share=0.5, device="cpu")
        steps = options.train_epochs * digits.steps("train")
        trained = archgrad.train(run, progress=bar(progress, training, lambda state: steps))
        metrics = archgrad.evaluate(run)

        progress.start_task(comparing)
        plain = plain_network(
            digits, at_least=trained.parameters, epochs=options.train_epochs, rate=RATE, seed=options.seed
        )
        progress.update(comparing, total=2, completed=1)
        logistic = logistic_regression(digits)
        progress.update(comparing, completed=2)

        progress.start_task(writing)
        exported = archgrad.export(run, to="onnx")
        progress.update(writing, total=2, completed=1)
        report = archgrad.report([run])
        progress.update(writing, completed=2)

    network = MeasuredBaseline(
        name="found network",
        metrics=metrics,
        parameters=trained.parameters,
        seconds=trained.seconds,
    )
    console.print(table([network, plain, logistic], found.search_seconds, digits.size("test")))
    for warning in found.warnings:
        console.print(f"Warning: {warning}")
    console.print(f"ONNX:   {exported.paths[0]}", soft_wrap=True, highlight=False)
    console.print(f"Report: {report}", soft_wrap=True, highlight=False)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run", type=Path, default=Path("runs/demo"), help="where to write; a number is added if taken"
    )
    parser.add_argument("--epochs", type=int, default=10, help="of the search")
    parser.add_argument("--train-epochs", type=int, default=15, help="of the found network and of the plain one")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    return parser.parse_args()


def free_directory(wanted: Path) -> Path:
    """Return the first of DIR, DIR-2, DIR-3, ... that does not exist: nothing of an earlier demo is overwritten."""
    names = (wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def bar(progress: Progress, task: Any, total: Callable[[Any], int]) -> Callable[[str, Any, dict[str, Any]], None]:
    """Return a listener that moves a bar on by one at every step of a search or a training."""

    def listen(kind: str, state: Any, record: dict[str, Any]) -> None:
        if kind == "step":
            progress.start_task(task)
            progress.update(task, total=total(state), completed=state.step)

    return listen


def table(rows: list[MeasuredBaseline], search_seconds: float, held_out: int) -> Table:
    """Lay the three side by side; the first is the found one."""
    shown = Table(title=f"On {held_out} held-out digits", box=box.SIMPLE_HEAD)
    shown.add_column("", no_wrap=True)
    for heading in ("accuracy", "parameters", "search", "training"):
        shown.add_column(heading, justify="right")
    for number, row in enumerate(rows):
        searched = "-" if number else f"{search_seconds:.0f} s"
        shown.add_row(
            row.name, f"{100 * row.metrics['accuracy']:.2f} %", f"{row.parameters:,}", searched, f"{row.seconds:.1f} s"
        )
    return shown


if __name__ == "__main__":
    try:
        main()
    except archgrad.ArchgradError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
