"""The stack of cells: where the sides are halved and how wide each layer is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.space.skeleton import Skeleton


@pytest.mark.parametrize(
    ("cells", "reductions"),
    [(1, []), (2, []), (3, [1, 2]), (5, [1, 3]), (8, [2, 5]), (14, [4, 9]), (20, [6, 13])],
)
def test_reductions_are_at_one_and_two_thirds(cells: int, reductions: list[int]) -> None:
    layers = Skeleton().layers(cells, 16)
    assert [index for index, layer in enumerate(layers) if layer.reduction] == reductions
    assert [index for index, layer in enumerate(layers) if layer.cell == "reduce"] == reductions


@given(st.integers(1, 40), st.integers(1, 64))
def test_channels_double_where_the_sides_halve(cells: int, channels: int) -> None:
    layers = Skeleton().layers(cells, channels)
    assert len(layers) == cells
    done = 0
    for layer in layers:
        done += layer.reduction
        assert layer.channels == channels * 2**done
    assert done == (2 if cells >= 3 else 0)
