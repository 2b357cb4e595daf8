"""Rows, groups and slices of a cell, against lists written out and against counting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archgrad.space.cells import CellSpace

spaces = st.builds(CellSpace, inputs=st.integers(1, 3), nodes=st.integers(1, 6), operations=st.just(("none", "skip")))


def test_the_rows_of_the_darts_cell_are_in_the_documented_order() -> None:
    cell = CellSpace(2, 4, ("none",))
    assert cell.edges == (
        *((0, 2), (1, 2)),
        *((0, 3), (1, 3), (2, 3)),
        *((0, 4), (1, 4), (2, 4), (3, 4)),
        *((0, 5), (1, 5), (2, 5), (3, 5), (4, 5)),
    )
    assert cell.groups == (2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5)
    assert cell.output == (2, 3, 4, 5)


@given(spaces)
def test_there_is_one_row_for_every_pair_that_ends_in_a_computed_node(cell: CellSpace) -> None:
    nodes = range(cell.inputs + cell.nodes)
    pairs = {(i, j) for i in nodes for j in nodes if i < j and j >= cell.inputs}
    assert set(cell.edges) == pairs
    assert len(cell.edges) == len(pairs)
    assert list(cell.edges) == sorted(cell.edges, key=lambda pair: (pair[1], pair[0]))


@given(spaces)
def test_every_source_numbers_its_outgoing_rows_from_zero_by_target(cell: CellSpace) -> None:
    for source in range(cell.inputs + cell.nodes):
        leaving = sorted((target, row) for row, (start, target) in enumerate(cell.edges) if start == source)
        assert [cell.slot(row) for _, row in leaving] == list(range(cell.slots(source)))
