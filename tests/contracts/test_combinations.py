"""Every pair of parts searches together, but for those that the table of incompatible parts refuses with a reason."""

from __future__ import annotations

import random
from itertools import combinations, product
from typing import Any

import pytest
import torch

import archgrad
from archgrad import registry
from archgrad.errors import InputError
from archgrad.recipes.compatible import incompatible

KINDS = ("relaxation", "layout", "schedule", "hypergradient", "derivation", "penalty", "space")
OTHERS = {
    "supernet.share_features": (False, True),
    "supernet.evaluation": ("fast", "reference"),
    "supernet.partial": (1, 2),
    "perturbation": (None, "random"),
}
NONE = "no penalty"
FEW_CANDIDATES = {
    "darts": ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5"),
    "extended": ("avg_pool_3x3", "skip_connect", "sep_conv_7x7", "conv_7x1_1x7", "conv_3x3"),
}
"""Of every sort one: what all of them cost and compute is tested by itself, the recipes search among all."""

FEW_CELLS = {"best-of-random": {"cells": 4}, "evolution": {"cells": 6, "population": 3, "sample": 2}}
"""Rules that judge cell after cell judge a few: enough for children to follow the first population."""

Value = tuple[str, Any]
"""A dimension and what it is set to."""

Pair = tuple[Value, Value]


def choices() -> dict[str, list[Any]]:
    """Return what every dimension can be: the registered names, and settings of the supernet."""
    found: dict[str, list[Any]] = {kind: list(registry.names(kind)) for kind in KINDS}
    found["penalty"].append(NONE)
    found["space"] = [name for name in found["space"] if registry.get("space", name).skeleton().form == "stack"]
    return found | {name: list(values) for name, values in OTHERS.items()}


def clash(one: Value, other: Value) -> bool:
    return incompatible(one, other) is not None


def pair_of(one: Value, other: Value) -> Pair:
    """Return two values as a pair that is the same whichever comes first, in every process."""
    first, second = sorted((one, other), key=repr)
    return first, second


def covering(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return few rows in which every pair of values that may meet does meet (greedy, the same every time)."""
    draw = random.Random(0)
    names = list(values)
    open_pairs = {
        pair_of((a, x), (b, y))
        for a, b in combinations(names, 2)
        for x, y in product(values[a], values[b])
        if not clash((a, x), (b, y))
    }
    rows = []
    while open_pairs:
        best: dict[str, Any] = {}
        covered: set[Pair] = set()
        in_order = sorted(open_pairs, key=repr)
        for _ in range(30):
            row: dict[str, Any] = dict(sorted(draw.choice(in_order), key=repr))
            for name in draw.sample(names, len(names)):
                if name not in row:
                    allowed = [x for x in values[name] if not any(clash((name, x), it) for it in row.items())]
                    assert allowed, f"nothing of kind {name} goes with {row}"
                    row[name] = max(
                        allowed,
                        key=lambda x: (
                            sum(pair_of((name, x), it) in open_pairs for it in row.items()),
                            draw.random(),
                        ),
                    )
            met = {pair_of(*pair) for pair in combinations(row.items(), 2)} & open_pairs
            if len(met) > len(covered):
                best, covered = row, met
        rows.append(best)
        open_pairs -= covered
    return rows


ROWS = covering(choices())


def settings_of(row: dict[str, Any]) -> dict[str, Any]:
    settings = {name: value for name, value in row.items() if name != "penalty"}
    if row.get("penalty", NONE) != NONE:
        settings["penalties"] = {"it": {"name": row["penalty"]}}
    small: dict[str, Any] = {"space.nodes": 2, "supernet.cells": 3, "supernet.channels": 2, "data.batch": 16}
    if row["space"] in FEW_CANDIDATES:
        small["space.operations"] = FEW_CANDIDATES[row["space"]]
    return (
        settings | small | {f"derivation.{name}": value for name, value in FEW_CELLS.get(row["derivation"], {}).items()}
    )


def searched(row: dict[str, Any]) -> archgrad.SearchResult:
    labels = torch.arange(20) % 2
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.5 + labels.view(-1, 1, 1, 1) / 2
    return archgrad.search("darts", data=(images, labels), epochs=1, metrics={}, settings=settings_of(row))


def test_all_pairs_that_may_meet_do_meet() -> None:
    values = choices()
    met = {pair_of(*pair) for row in ROWS for pair in combinations(row.items(), 2)}
    for a, b in combinations(values, 2):
        for x, y in product(values[a], values[b]):
            assert (pair_of((a, x), (b, y)) in met) is not clash((a, x), (b, y))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "+".join(str(value) for value in row.values()))
def test_parts_search_together(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
    result = searched(row)
    assert result.state.step == 1
    assert all(bool(torch.isfinite(tensor).all()) for tensor in result.state.choices.parameters())
    assert all(cell.edges for cell in result.architecture.cells.values())


REFUSED = [
    (a, x, b, y)
    for a, b in combinations(KINDS, 2)
    for x, y in product(choices()[a], choices()[b])
    if clash((a, x), (b, y))
]


@pytest.mark.parametrize(("a", "x", "b", "y"), REFUSED)
def test_parts_that_contradict_each_other_are_refused_with_the_reason(a: str, x: str, b: str, y: str) -> None:
    reason = incompatible((a, x), (b, y))
    assert reason
    assert incompatible((b, y), (a, x)) == reason
    row = {"relaxation": "softmax", "derivation": "top-edges", "schedule": "always", "space": "darts", a: x, b: y}
    with pytest.raises(InputError) as caught:
        searched(row)
    assert reason in str(caught.value)
    assert x in str(caught.value)
    assert y in str(caught.value)
