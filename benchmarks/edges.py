"""``python -m benchmarks edges RUN...``: does an edge's weight tell what the supernet loses without that edge?

DARTS keeps the edges whose strongest candidate weighs most, so weights of different edges are compared with each other.
Clipping is said to make that fair. Of every run and cell kind: Spearman's rank correlation over the edges between that
weight and the rise of the validation loss when the edge is left out, statistics of the batch norms estimated again with
and without it. An edge on which nothing lives any more takes no part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import archgrad
from archgrad.choices import Mixing
from archgrad.engine.derivations.darts_pt import without
from archgrad.engine.derivations.selection import final_expected, reestimated_loss
from archgrad.engine.state import SearchState
from archgrad.reporting.compare_statistics import bootstrap_interval
from archgrad.space.cells import CellSpace
from benchmarks.factors import paired

__all__ = ["against_first", "by_level", "importance", "main", "strength"]


def strength(mixing: Mixing, row: int, cell: CellSpace) -> float | None:
    """Return what DARTS' derivation ranks an edge by, the weight of its strongest candidate; None if nothing lives."""
    weights = mixing.weights[row].tolist()
    alive = [
        w
        for w, runs, name in zip(weights, mixing.support[row], cell.operations, strict=True)
        if runs and name != "none"
    ]
    return max(alive, default=None)


def importance(state: SearchState, kind: str, batches: int | None = None, statistics: int = 10) -> list[dict[str, Any]]:
    """Return weight and rise of the validation loss for every living edge of a cell kind.

    Args:
        state: a search that is over; nothing in it changes.
        kind: of the cells in all of which the edge is left out.
        batches: of the validation part; all when None.
        statistics: training batches that the statistics come from, the same with and without an edge.
    """
    mixings, cell = final_expected(state), state.parts.space.cells[kind]
    judged_by = list(islice(state.parts.data.once("validation"), batches))
    whole, found = reestimated_loss(state, mixings, judged_by, statistics), []
    for row, (source, target) in enumerate(cell.edges):
        weight = strength(mixings[kind], row, cell)
        if weight is not None:
            left = {**mixings, kind: without(mixings[kind], row)}
            rise = reestimated_loss(state, left, judged_by, statistics) - whole
            found.append({"edge": [source, target], "weight": weight, "rise": rise})
    return found


def correlation(found: Sequence[Mapping[str, Any]]) -> float | None:
    """Return Spearman's rank correlation of weight and rise; None where one of the two does not vary."""
    from scipy.stats import spearmanr

    weights, rises = [each["weight"] for each in found], [each["rise"] for each in found]
    if min(len(set(weights)), len(set(rises))) < 2:
        return None
    return float(spearmanr(weights, rises).statistic)


def by_level(rows: Sequence[Mapping[str, Any]], level: int | None) -> dict[str, list[float]]:
    """Return the correlations by NAME, where runs are called NAME-sN, or by one of the levels that "-" joins in it."""
    found: dict[str, list[float]] = {}
    for row in rows:
        name = row["run"].rpartition("-s")[0]
        known = found.setdefault(name if level is None else name.split("-")[level], [])
        known += [] if row["spearman"] is None else [row["spearman"]]
    return found


def against_first(rows: Sequence[Mapping[str, Any]], level: int) -> dict[str, list[float]]:
    """Return how much higher the correlations are than with the first value of a level, tables equal in all else."""
    known: dict[tuple[str, ...], float] = {}
    for row in rows:
        name, _, seed = row["run"].rpartition("-s")
        if row["spearman"] is not None:
            known[*name.split("-"), seed, row["kind"]] = row["spearman"]
    first = next(key[level] for key in known)
    pairs = paired(known, level, first)
    return {f"{other} - {first}": [value - base for value, base in found] for other, found in pairs.items()}


def main(words: Sequence[str]) -> None:
    """Print one JSON object a run and the mean of every group of runs; write all edges when asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks edges", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="finished runs, NAME-sN belong together; or files of --output"
    )
    parser.add_argument("--batches", type=int, default=None, help="validation batches; all if left out")
    parser.add_argument("--output", type=Path, default=None, help="JSON file for every edge")
    parser.add_argument("--level", type=int, help="group runs by this level of NAME alone, such as 0 of clipped-every")
    options = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    for run in options.runs:
        if run.suffix == ".json":
            rows += json.loads(run.read_text(encoding="utf-8"))
            continue
        state = archgrad.search(run=run, resume=True).state
        for kind in state.parts.space.cells:
            edges = importance(state, kind, options.batches)
            rows.append({"run": run.name, "kind": kind, "spearman": correlation(edges), "edges": edges})
            print(json.dumps({**rows[-1], "edges": len(edges)}), flush=True)
    if options.output:
        options.output.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    groups = by_level(rows, options.level)
    if options.level is not None:
        groups |= against_first(rows, options.level)
    for group, known in groups.items():
        if not known:
            print(f"{group}: none")
            continue
        low, high = bootstrap_interval(known) or (known[0], known[0])
        print(f"{group or 'all'}: {fmean(known):.2f} [{low:.2f}, {high:.2f}] over {len(known)} tables")
