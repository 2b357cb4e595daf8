"""How good a judge a supernet is: rank correlation between cells' accuracies with its weights and a table's."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from archgrad.space.nasbench201_strings import read_string
from archgrad.tasks.cell_table import CellTable

__all__ = ["correlations", "judged_cells", "random_cells", "table_of"]

SEED = 201
"""Of the draw of cells: the same for every run, so that judges are compared on the same cells."""


@lru_cache(maxsize=4)
def table_of(path: Path) -> CellTable:
    """Return a table, read once."""
    return CellTable(path)


def random_cells(table: CellTable, count: int) -> list[str]:
    """Return the strings of uniformly random cells of a table, without repetition, the same ones every time.

    Args:
        table: of trained cells.
        count: how many; all of them if the table has fewer. More begin with the fewer.
    """
    strings = sorted(table.rows)
    random.Random(SEED).shuffle(strings)
    return strings[:count]


def judged_cells(state: Any, table: CellTable, count: int) -> dict[str, Any]:
    """Return the metrics of random cells with a supernet's weights, as ``ranking.json`` holds them.

    Args:
        state: a :class:`archgrad.engine.state.SearchState` in the space of the table.
        table: from which the cells are drawn; its figures have no part in this.
        count: cells.
    """
    from archgrad.engine.derivations.ranking import judge_cells

    strings = random_cells(table, count)
    metrics = judge_cells(state, [read_string(text) for text in strings])
    return {"cells": [{"string": text, **found} for text, found in zip(strings, metrics, strict=True)]}


def correlations(found: Mapping[str, Any], table: CellTable, metric: str, sign: int = 1) -> dict[str, float | None]:
    """Return Kendall's tau-b and Spearman's rho between the judged metric and the table's first figure.

    Args:
        found: as :func:`judged_cells` returns it.
        table: the truth.
        metric: by which the cells were judged.
        sign: -1 where a lower metric is the better one.

    Returns:
        ``kendall`` and ``spearman``; None where one of the two does not vary.
    """
    from scipy.stats import kendalltau, spearmanr

    pairs = [(sign * cell[metric], table.value(read_string(cell["string"]))) for cell in found["cells"]]
    known = [(judged, true) for judged, true in pairs if true is not None]
    if min((len({pair[k] for pair in known}) for k in (0, 1)), default=0) < 2:
        return {"kendall": None, "spearman": None}
    judged, true = zip(*known, strict=True)
    kendall, spearman = kendalltau(judged, true).statistic, spearmanr(judged, true).statistic
    return {"kendall": float(kendall), "spearman": float(spearman)}
