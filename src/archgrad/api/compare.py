"""``compare``: several recipes, several seeds, equal training, one table; killed and called again it goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from archgrad.api.search import search
from archgrad.api.settings import load_plugin, search_config
from archgrad.api.train import train
from archgrad.engine.children import children as judge_children
from archgrad.errors import InputError
from archgrad.runs.log import read
from archgrad.runs.writing import write_atomically

__all__ = ["FIGURES", "CompareResult", "compare"]

FIGURES = (
    "validation",
    "derived_validation",
    "supernet",
    "child",
    "random_children",
    "test",
    "parameters",
    "search_seconds",
    "train_seconds",
)
"""What is compared, in the order of the table."""


@dataclass(frozen=True)
class CompareResult:
    """One row per recipe and seed, and one summary per recipe.

    Args:
        path: folder with all runs, ``runs.csv`` and ``compare.json``.
        runs: per recipe and seed: validation, derived_validation, test (accuracies or the task's first metric),
            parameters, search_seconds, train_seconds; with ``children`` also supernet, child and random_children, all
            three after the same estimation of batch-norm statistics.
        table: per recipe: mean, spread (sample standard deviation) and best of every figure.
    """

    path: Path
    runs: list[dict[str, Any]]
    table: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {"path": str(self.path), "runs": self.runs, "table": self.table}


def compare(
    recipes: Sequence[str],
    *,
    data: str = "digits",
    space: str | None = None,
    seeds: int = 3,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    run: str | Path = "runs/compare",
    children: int = 0,
    retrain: bool = True,
    plugin: str | None = None,
    on_run: Callable[[dict[str, Any]], None] | None = None,
) -> CompareResult:
    """Search with every recipe and seed, train each found network alike, and put the results side by side.

    Args:
        recipes: names; the first is the one that the others are held against.
        data: a SPEC.
        space: name of the space, in place of the recipes'.
        seeds: seeds 0 to seeds-1.
        epochs: of every search; a recipe that fixes its own (``random``) keeps it.
        settings: dotted paths for all searches and trainings, ``train.epochs`` among them.
        device: of all runs.
        run: folder of the comparison; runs that are complete there are not done again.
        children: random children of every supernet to judge beside the derived one; 0: none of these figures.
        retrain: whether the found networks are trained from scratch and tested.
        plugin: a module to import first.
        on_run: called with every finished row.

    Raises:
        InputError: no recipe, no seed, unknown names, or a folder that holds another comparison.
    """
    load_plugin(plugin)
    if not recipes or seeds < 1:
        raise InputError(
            "compare needs at least one recipe and one seed, e.g. archgrad compare darts random --seeds 5."
        )
    given: dict[str, Any] = {"data": data, "space": space, "device": device, "settings": settings}
    for recipe in recipes:  # everything wrong in the words is said before the first hour is spent
        search_config(recipe, **given, epochs=_epochs(recipe, epochs))
    path = Path(run)
    _same_comparison(path, {"data": data, "space": space, "epochs": epochs, "settings": dict(settings or {})})
    rows = []
    for seed in range(seeds):
        for recipe in recipes:
            folder = path / f"{recipe}-s{seed}"
            row = _searched(folder, recipe, seed, _epochs(recipe, epochs), given)
            row |= _children(folder, children, row["metric"]) if children else {}
            row |= _trained(folder) if retrain else {}
            rows.append(row)
            _write(path, rows)
            if on_run:
                on_run(row)
    rows.sort(key=lambda row: (list(recipes).index(row["recipe"]), row["seed"]))
    return CompareResult(path, rows, _write(path, rows))


def _epochs(recipe: str, epochs: int | None) -> int | None:
    """Return the epochs of one recipe's search: its own where the recipe itself sets them."""
    from archgrad import registry

    return None if registry.get("recipe", recipe).keeps_epochs else epochs


def _same_comparison(path: Path, words: dict[str, Any]) -> None:
    """Refuse to mix two comparisons in one folder."""
    text = json.dumps(words, indent=2, sort_keys=True, default=str) + "\n"
    marker = path / "words.json"
    if marker.exists() and marker.read_text() != text:
        raise InputError(f"{path} holds a comparison with other words (see {marker}); give another --run.")
    path.mkdir(parents=True, exist_ok=True)
    write_atomically(marker, text.encode())


def _searched(folder: Path, recipe: str, seed: int, epochs: int | None, given: dict[str, Any]) -> dict[str, Any]:
    """Do, finish or read one search."""
    if not (folder / "architecture.json").exists():
        begun = (folder / "config.yaml").exists()
        words = {} if begun else {**given, "seed": seed, "epochs": epochs}
        search(None if begun else recipe, run=folder, resume=begun, **words)
    searched = _ends(folder)["search"]
    metric = next(name for name in searched["validation"] if name != "loss")
    return {
        "recipe": recipe,
        "seed": seed,
        "metric": metric,
        "validation": searched["validation"][metric],
        "derived_validation": searched["derived_validation"][metric],
        "search_seconds": searched["search_seconds"],
    }


def _children(folder: Path, count: int, metric: str) -> dict[str, Any]:
    """Judge or read the children of one search."""
    path = folder / "children.json"
    if not path.exists():
        found = judge_children(search(run=folder, resume=True).state, count)
        write_atomically(path, json.dumps(found, indent=1).encode())
    found = json.loads(path.read_text())
    return {
        "supernet": found["supernet"][metric],
        "child": found["derived"][metric],
        "random_children": mean(child[metric] for child in found["random"]),
    }


def _trained(folder: Path) -> dict[str, Any]:
    """Do, finish or read the training of what was found."""
    if not (folder / "model.safetensors").exists():
        train(folder, resume=_training_begun(folder))
    trained = _ends(folder)["train"]
    metrics = trained["test"]
    metric = next(name for name in metrics if name != "loss")
    return {"test": metrics[metric], "parameters": trained["parameters"], "train_seconds": trained["seconds"]}


def _ends(folder: Path) -> dict[str, Any]:
    """Return the last end of each phase: a training that is done again is the one whose network lies there."""
    return {event["phase"]: event for event in read(folder / "log.jsonl") if event["event"] == "end"}


def _training_begun(folder: Path) -> bool:
    return any(path.name.startswith("train-") for path in (folder / "checkpoints").glob("train-*"))


def _write(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write runs.csv and compare.json; return the table."""
    table = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        entry: dict[str, Any] = {"recipe": recipe}
        for figure in FIGURES:
            values = [row[figure] for row in rows if row["recipe"] == recipe and row.get(figure) is not None]
            if values:
                spread = stdev(values) if len(values) > 1 else None
                entry[figure] = {"mean": mean(values), "spread": spread, "best": max(values), "runs": len(values)}
        table.append(entry)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path / "runs.csv", text.getvalue().encode())
    write_atomically(path / "compare.json", json.dumps({"runs": rows, "table": table}, indent=2).encode())
    return table
