"""``python -m benchmarks factors FOLDER``: what each part of a sentence did in a full grid that ``compare`` searched.

The arms are named by the levels of their factors, such as ``clipped-informed-none``. A level is held against the first
one of its factor in pairs of runs that are equal in everything else, the seed too: the mean of the pairs' differences
(of sizes and counts: the geometric mean of their ratios) and the bootstrap interval of it. ``--only 'clipped-*'`` looks
at a part of the grid; ``--figure`` draws gap and size of every run. ``--pair ARM:BASE`` compares two arms of any name.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import pandas as pd

from archgrad.errors import InputError, unknown
from archgrad.reporting.compare_statistics import bootstrap_interval
from archgrad.reporting.figures import style
from archgrad.reporting.markdown import markdown_table

__all__ = ["Effect", "effects", "main", "paired", "read_grid", "spreads"]

Run = Mapping[str, Any]


class Measure(NamedTuple):
    """A figure of a run and how two are compared."""

    heading: str
    of: Callable[[Run], float]
    ratio: bool = False
    digits: int = 1


MEASURES = (
    Measure("supernet, points", lambda run: 100 * run["validation"]),
    Measure("child, points", lambda run: 100 * run["derived_validation"]),
    Measure("gap, points", lambda run: 100 * (run["validation"] - run["derived_validation"])),
    Measure("parameters, ratio", lambda run: run["parameters"], ratio=True, digits=2),
    Measure("choice steps, ratio", lambda run: run["choice_steps"], ratio=True, digits=3),
    Measure("stable since, epochs", lambda run: run["stable_since"]),
)
GAP, SIZE = MEASURES[2], MEASURES[3]
TEST = Measure("test, points", lambda run: 100 * run["test"])
"""Of networks that were trained."""


class Effect(NamedTuple):
    """What a level does beside the first one of its factor: mean (or ratio) and interval over so many pairs."""

    level: str
    against: str
    mean: float
    interval: tuple[float, float] | None
    pairs: int


def read_grid(folder: Path, only: str = "*") -> list[dict[str, Any]]:
    """Return the runs of a folder of ``compare`` with their "levels", those whose arm has the form ``only``.

    Raises:
        InputError: there is no table, or its arms do not have equally many levels.
    """
    runs = [{**run, "levels": tuple(run["arm"].split("-"))} for run in read_runs(folder) if fnmatch(run["arm"], only)]
    if len({len(run["levels"]) for run in runs}) != 1:
        raise InputError(f"Arms of a grid are named by equally many levels, joined by '-'; '{only}' finds none such.")
    return runs


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Return the runs of a folder of ``compare``.

    Raises:
        InputError: there is no table.
    """
    table = folder / "runs.csv"
    if not table.is_file():
        raise InputError(f"There is no {table}: name the folder that 'archgrad compare --run' wrote.")
    return [{str(key): value for key, value in row.items()} for row in pd.read_csv(table).to_dict("records")]


def levels_of(runs: Sequence[Run], factor: int) -> list[str]:
    """Return the levels of a factor in the order in which they first come."""
    return list(dict.fromkeys(run["levels"][factor] for run in runs))


def paired(known: Mapping[tuple[Any, ...], float], place: int, first: str) -> dict[str, list[tuple[float, float]]]:
    """Return (value, value at ``first``) of what is equal in everything but one place of its key, by what is there."""
    found: dict[str, list[tuple[float, float]]] = {}
    for key, value in known.items():
        base = known.get((*key[:place], first, *key[place + 1 :]))
        if key[place] != first and base is not None:
            found.setdefault(key[place], []).append((value, base))
    return found


def effects(runs: Sequence[Run], factor: int, measure: Measure) -> list[Effect]:
    """Return the effect of every level of a factor but the first, over pairs of runs equal in everything else."""
    first, *others = levels_of(runs, factor)
    pairs = paired({(*run["levels"], run["seed"]): measure.of(run) for run in runs}, factor, first)
    found = []
    for level in others:
        values = [math.log(value / base) if measure.ratio else value - base for value, base in pairs.get(level, [])]
        interval = bootstrap_interval(values)
        if measure.ratio and interval is not None:
            interval = math.exp(interval[0]), math.exp(interval[1])
        mean = fmean(values) if values else math.nan
        found.append(Effect(level, first, math.exp(mean) if measure.ratio else mean, interval, len(values)))
    return found


def spreads(runs: Sequence[Run], factor: int, measure: Measure) -> dict[str, float]:
    """Return for every level of a factor the standard deviation over the seeds, as a mean over its arms."""
    found = {}
    for level in levels_of(runs, factor):
        arms: dict[tuple[str, ...], list[float]] = {}
        for run in runs:
            if run["levels"][factor] == level:
                arms.setdefault(run["levels"], []).append(measure.of(run))
        repeated = [stdev(values) for values in arms.values() if len(values) > 1]
        found[level] = fmean(repeated) if repeated else math.nan
    return found


def table_of(runs: Sequence[Run]) -> str:
    """Return every arm's means as a Markdown table."""
    rows = [["arm", *(measure.heading.removesuffix(", ratio") for measure in MEASURES)]]
    for levels in dict.fromkeys(run["levels"] for run in runs):
        same = [run for run in runs if run["levels"] == levels]
        cells = []
        for measure in MEASURES:
            values = [measure.of(run) for run in same]
            whole = measure.ratio
            spread = f" ± {stdev(values):,.{0 if whole else 1}f}" if len(values) > 1 else ""
            cells.append(f"{fmean(values):,.{0 if whole else 1}f}{spread}")
        rows.append([", ".join(levels), *cells])
    return markdown_table(rows)


def effects_of(runs: Sequence[Run]) -> str:
    """Return the effects of all factors as a Markdown table, with the spread over seeds of level and first level."""
    rows = [["level, against the first", "pairs", *(measure.heading for measure in MEASURES), "spread of the gap"]]
    for factor in range(len(runs[0]["levels"])):
        columns = [effects(runs, factor, measure) for measure in MEASURES]
        spread = spreads(runs, factor, GAP)
        for row in zip(*columns, strict=True):
            cells = [_written(effect, measure.digits) for effect, measure in zip(row, MEASURES, strict=True)]
            level, first = row[0].level, row[0].against
            cells.append(f"{spread[level]:.1f} against {spread[first]:.1f}")
            rows.append([f"{level}, against {first}", str(row[0].pairs), *cells])
    return markdown_table(rows)


def pairs_of(runs: Sequence[Run], pairs: Sequence[str]) -> str:
    """Return what arms do beside other arms, over the seeds that both have, as a Markdown table.

    Args:
        runs: of all arms.
        pairs: "ARM:BASE" each.

    Raises:
        InputError: there is no such arm.
    """
    measures = [*MEASURES, *([TEST] if "test" in runs[0] else [])]
    rows = [["arm", "pairs", *(measure.heading for measure in measures)]]
    arms = list(dict.fromkeys(run["arm"] for run in runs))
    for pair in pairs:
        arm, _, base = pair.partition(":")
        for name in (arm, base):
            if name not in arms:
                raise unknown("arm", name, arms)
        both = [{**run, "levels": (run["arm"],)} for name in (base, arm) for run in runs if run["arm"] == name]
        row = [effects(both, 0, measure)[0] for measure in measures]
        cells = [_written(effect, measure.digits) for effect, measure in zip(row, measures, strict=True)]
        rows.append([f"{arm}, against {base}", str(row[0].pairs), *cells])
    return markdown_table(rows)


def _written(effect: Effect, digits: int) -> str:
    ends = ", ".join(f"{end:z.{digits}f}" for end in effect.interval or ())
    return f"{effect.mean:z.{digits}f}" + (f" [{ends}]" if ends else "")


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw gap and size of every run, an arm a line."""
    from matplotlib.figure import Figure

    arms = list(dict.fromkeys(run["levels"] for run in runs))
    colours = {level: f"C{number}" for number, level in enumerate(levels_of(runs, 0))}
    with style():
        figure = Figure(figsize=(9, 0.28 * len(arms) + 1.2), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, measure in zip(axes, (GAP, SIZE), strict=True):
            for run in runs:
                at = arms.index(run["levels"])
                axis.plot(measure.of(run), at, "o", color=colours[run["levels"][0]], alpha=0.7, markersize=5)
            axis.set_xlabel(measure.heading.removesuffix(", ratio"))
        axes[0].set_yticks(range(len(arms)), [", ".join(levels) for levels in arms])
        axes[0].invert_yaxis()
        figure.savefig(path, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)


def main(words: Sequence[str]) -> None:
    """Print the table of the arms and that of the effects; draw the runs when asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks factors", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of archgrad compare --run")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="arms of this form only, such as 'clipped-*'")
    parser.add_argument("--figure", type=Path, default=None, metavar="FILE", help="SVG or PNG of gap and size")
    parser.add_argument("--pair", action="append", default=[], metavar="ARM:BASE", help="compare these two alone")
    given = parser.parse_args(words)
    if given.pair:
        print(pairs_of(read_runs(given.folder), given.pair))
        return
    runs = read_grid(given.folder, given.only)
    print(table_of(runs), effects_of(runs), sep="\n\n")
    if given.figure:
        draw(runs, given.figure)
