"""The plan names every term of every sum, once, and counts what is computed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.choices import full_support
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DARTS_OPERATIONS
from archgrad.supernet.plan import make_plan

DARTS_CELL = CellSpace(2, 4, DARTS_OPERATIONS)


def test_the_number_of_evaluations_is_the_papers() -> None:
    full = full_support(14, 8)
    kinds = len(DARTS_OPERATIONS) - 1  # "none" is not computed
    assert make_plan(DARTS_CELL, full).evaluations == 14 * kinds
    assert make_plan(DARTS_CELL, full, share_features=True).evaluations == 5 * kinds
    assert len(make_plan(DARTS_CELL, full, share_features=True).rows) == 14 * kinds


@given(st.integers(1, 2), st.integers(1, 4), st.randoms(use_true_random=False), st.booleans())
def test_there_is_a_row_for_every_supported_candidate_but_none(
    inputs: int, nodes: int, chance: random.Random, share: bool
) -> None:
    cell = CellSpace(inputs, nodes, ("none", "skip_connect", "sep_conv_3x3"))
    support = tuple(tuple(chance.random() < 0.5 for _ in range(3)) for _ in cell.edges)
    plan = make_plan(cell, support, share)
    expected = {
        (source, cell.operations[column], target)
        for row, (source, target) in enumerate(cell.edges)
        for column in (1, 2)
        if support[row][column]
    }
    assert {(row.source, row.operation, row.target) for row in plan.rows} == expected
    assert len(plan.rows) == len(expected)
    for row in plan.rows:
        assert cell.edges[row.edge] == (row.source, row.target)
        assert cell.operations[row.candidate] == row.operation
        later = [target for source, target in cell.edges if source == row.source]
        assert row.slice == (0 if share else sorted(later).index(row.target))
    targets = range(inputs, inputs + nodes)
    assert [row for target in targets for row in plan.into(target)] == list(plan.rows)
    features = {(source, name) for source, name, _ in expected} if share else expected
    assert plan.evaluations == len(features)


@pytest.mark.parametrize(
    ("support", "rows", "columns"), [((), 0, 0), (full_support(13, 8), 13, 8), (full_support(14, 7), 14, 7)]
)
def test_a_mixing_of_another_shape_is_refused(support: tuple[tuple[bool, ...], ...], rows: int, columns: int) -> None:
    message = f"has {rows} rows of {columns} candidates; the cell has 14 edges with 8 candidates"
    with pytest.raises(InputError, match=message):
        make_plan(DARTS_CELL, support)
