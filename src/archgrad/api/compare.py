"""``compare``: several arms, several seeds, equal training, one table; killed and called again it goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock

from archgrad.api.compare_arms import Arm, ArmGiven, arm_config, read_arms, refuse_others
from archgrad.api.compare_curves import curve_of
from archgrad.api.compare_figures import FIGURES, Run, Wanted, baseline_rows, higher_is_better, row_of
from archgrad.api.compare_rank import table_of
from archgrad.api.compare_run import place_of_work
from archgrad.api.compare_workers import Failure, Job, here, side_by_side
from archgrad.api.settings import dotted, load_plugin
from archgrad.errors import InputError, RunError
from archgrad.recipes.compatible import check_compatible
from archgrad.reporting.compare_statistics import describe
from archgrad.runs.config import SearchConfig, merge
from archgrad.runs.writing import write_atomically

__all__ = ["FIGURES", "CompareResult", "compare"]


@dataclass(frozen=True)
class CompareResult:
    """One row per arm and seed, and one summary per arm.

    Args:
        path: folder with all runs, ``runs.csv``, ``anytime.csv``, ``compare.json`` and ``compare.html``.
        runs: per arm and seed: ``arm``, ``recipe``, ``seed``, ``metric`` (the task's first) and the figures of
            :data:`FIGURES` that were asked for. ``validation`` and ``derived_validation`` are the search's own;
            ``supernet``, ``child``, their ``gap`` and ``random_children`` come with ``children``, all after the same
            estimation of batch-norm statistics; ``parameters`` and ``flops`` are those of the derived network at the
            training's size, trained or not; ``test`` and ``train_seconds`` come with the training; ``stable_since`` is
            the first epoch after which the derived cells were what they are at the end.
        table: per arm, of every figure: ``mean``, ``spread`` (sample standard deviation), ``best``, ``runs``, ``low``
            and ``high`` (95 % bootstrap interval of the mean), ``rank`` (mean over the seeds), ``p`` and ``p_holm``
            (against the first arm), see :func:`archgrad.reporting.compare_statistics.describe`.
    """

    path: Path
    runs: list[dict[str, Any]]
    table: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {"path": str(self.path), "runs": self.runs, "table": self.table}


def compare(
    recipes: Sequence[ArmGiven] | Mapping[str, ArmGiven],
    *,
    data: str = "digits",
    space: str | None = None,
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    run: str | Path = "runs/compare",
    children: int = 0,
    table: str | Path | None = None,
    rank_correlation: int = 0,
    retrain: bool = True,
    baselines: bool = False,
    workers: int = 0,
    plugin: str | None = None,
    on_run: Callable[[dict[str, Any]], None] | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> CompareResult:
    """Search with every arm and seed, train each found network alike, and put the results side by side.

    Args:
        recipes: the arms: recipes, alone (``"darts"``) or with settings of their own, in words as on the command line
            (``"darts relaxation=clipped"``) or as a pair (``("darts", {"relaxation": "clipped"})``); or name -> arm.
            The first is the one that the others are held against.
        data: a SPEC.
        space: name of the space, in place of the recipes'.
        seeds: seeds 0 to seeds-1, or the seeds themselves.
        epochs: of every search; a recipe that fixes its own (``random``) keeps it.
        settings: dotted paths for all searches and trainings, ``train.epochs`` among them; an arm's own count more.
        device: of all runs.
        run: folder of the comparison; runs that are complete there are not done again. A run is known by its settings:
            under the name of an arm there can be no run with others.
        children: random children of every supernet to judge beside the derived one; 0: none of these figures.
        table: a table of trained cells (CSV) in which the found ones are looked up; for the space ``nasbench201``.
        rank_correlation: random cells of the table, the same for every run, that every supernet judges with inherited
            weights, for Kendall's and Spearman's correlation with the table (100 are usual); 0: none.
        retrain: whether the found networks are trained from scratch and tested.
        baselines: measure standard models beside the networks of the first arm, as :func:`archgrad.baselines` does;
            they are further rows of the table.
        workers: runs at a time, each in a process of its own, whose memory is measured alone, with its share of the
            cores; 0: one after the other in this process, where parts registered from Python are known.
        plugin: a module to import first.
        on_run: called with every finished row.
        say: told what is waited for, such as a run that another command does in the same folder.

    Returns:
        The result. A run that failed has an ``error`` in its row, and the figures known before; called again, it is
        tried again.

    Raises:
        InputError: no arm, no seed, unknown names, or the folder holds runs with other settings; or no run could be
            done because of what was given.
        RunError: every run failed.
    """
    if baselines and not retrain:
        raise InputError("Baselines are compared with trained networks; leave --baselines out, or train.")
    if workers < 0:
        raise InputError(f"workers is {workers}; it must be at least 1, or 0 for this process.")
    if children < 0:
        raise InputError(f"children is {children}; it must be at least 0.")
    load_plugin(plugin)
    arms, numbers = read_arms(recipes), _numbers(seeds)
    shared: dict[str, Any] = {"epochs": epochs, "space": space, "data": data, "device": device}
    configs = {arm.name: _checked(arm, merge(dotted(settings)), shared) for arm in arms}
    path, wanted = Path(run), Wanted(children, retrain, _table(table, configs, rank_correlation), rank_correlation)
    beside = replace(wanted, baselines=True) if baselines else wanted
    runs = [
        Run(arm.name, arm.recipe, seed, arm.folder(path, seed), beside if arm is arms[0] else wanted)
        for seed in numbers
        for arm in arms
    ]
    seeded = {one.folder: configs[one.arm].model_copy(update={"seed": one.seed}) for one in runs}
    refuse_others(seeded.items())  # everything wrong in the words is said before the first hour is spent
    path.mkdir(parents=True, exist_ok=True)
    jobs = [Job(one, seeded[one.folder]) for one in runs]
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    for one, failure in side_by_side(jobs, workers, plugin, say) if workers else here(jobs, say):
        row = row_of(one) | ({"error": failure.message} if failure else {})
        rows.append(row)
        failures += [failure] if failure else []
        rows.sort(key=lambda row: ([arm.name for arm in arms].index(row["arm"]), row["seed"]))
        _write(path, rows)
        if on_run:
            on_run(row)
    if len(failures) == len(rows):
        wrong = next((failure for failure in failures if failure.exit_code == InputError.exit_code), None)
        raise InputError(wrong.message) if wrong else RunError(f"Every run failed, the first so: {failures[0].message}")
    rows += [row for one in runs for row in baseline_rows(one)]
    _write(path, rows)
    summary = summarise(rows)
    _write_all(path, rows, summary, runs)
    return CompareResult(path, rows, summary)


def _table(path: str | Path | None, configs: Mapping[str, SearchConfig], rank: int) -> str | None:
    """Return the path of a table that tells of every arm's cells, and of as many as are to be ranked.

    Raises:
        InputError: it is no table, an arm has another space, or the table is missing where cells are to be ranked.
    """
    if path is None:
        if rank:
            raise InputError("A rank correlation needs the truth: give a table of trained cells with --table FILE.")
        return None
    path = Path(path).expanduser()
    table = table_of(path)
    for config in configs.values():
        table.check_space(config.space.name)
    if not 0 <= rank <= len(table.rows):
        raise InputError(f"{rank} cells cannot be ranked; the table {path} has {len(table.rows)}.")
    return str(path.resolve())


def _numbers(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds.

    Raises:
        InputError: there is none, or one is no seed.
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if not numbers or min(numbers) < 0:
        raise InputError(f"compare needs at least one seed, and none below 0; got {seeds}.")
    return numbers


def _checked(arm: Arm, settings: Mapping[str, Any], shared: Mapping[str, Any]) -> SearchConfig:
    """Return the configuration of an arm whose parts go together."""
    config: SearchConfig = arm_config(arm, settings=settings, **shared)
    try:
        check_compatible(config)
    except InputError as error:
        raise InputError(f"The arm '{arm.name}': {error}") from error
    return config


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write runs.csv, which grows with every run."""
    with _tables(path):
        write_atomically(path / "runs.csv", _csv(rows).encode())


def _write_all(path: Path, rows: list[dict[str, Any]], table: list[dict[str, Any]], runs: Sequence[Run]) -> None:
    """Write what a finished comparison leaves behind: compare.json, anytime.csv and compare.html."""
    from archgrad.reporting.compare_page import render_comparison

    points = [point for run in runs for point in curve_of(run)]
    figures = {figure.name: figure.heading for figure in FIGURES}
    page = render_comparison(path.resolve().name, figures, table, rows, points)
    with _tables(path):
        write_atomically(path / "anytime.csv", _csv(points).encode())
        write_atomically(path / "compare.html", page.encode())
        write_atomically(path / "compare.json", json.dumps({"runs": rows, "table": table}, indent=2).encode())


def _tables(path: Path) -> BaseFileLock:
    """Return the lock on the tables of a folder, in which another command may write its own at the same time."""
    return FileLock(place_of_work(path / "tables", ".lock"))


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV with every column that any of them has."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is said of every figure, an entry per arm in the order of their first rows.

    Args:
        rows: of the runs; the first row's arm is the standard.
    """
    table = [{"arm": name, "recipe": recipe} for name, recipe in {row["arm"]: row["recipe"] for row in rows}.items()]
    metric = next((row["metric"] for row in rows if "metric" in row), "")
    for figure in FIGURES:
        known = [row for row in rows if row.get(figure.name) is not None]
        arms = [{row["seed"]: row[figure.name] for row in known if row["arm"] == entry["arm"]} for entry in table]
        higher = figure.better == "higher" or (figure.better == "metric" and higher_is_better(metric))
        for entry, described in zip(table, describe(arms, higher), strict=True):
            entry |= {figure.name: described} if described else {}
    return table
