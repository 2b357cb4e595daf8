"""The width whose network is nearest in size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archgrad.tasks.equal_size import units_for


@given(st.integers(1, 5000), st.integers(0, 9), st.integers(1, 9))
def test_no_other_width_is_nearer(parameters: int, square: int, line: int) -> None:
    def size(units: int) -> int:
        return square * units**2 + line * units

    found = units_for(parameters, size)
    assert found >= 1
    assert all(abs(size(found) - parameters) <= abs(size(units) - parameters) for units in range(1, found + 50))
