"""Temperatures fall by equal factors, and start and end where they are said to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.choices import Softmax, Sparse
from archgrad.choices.temperature import exponential
from archgrad.errors import InputError

temperatures = st.floats(0.01, 100.0)


@given(temperatures, temperatures, st.integers(2, 60))
def test_each_epoch_multiplies_by_the_same_factor_down_to_the_end(start: float, end: float, epochs: int) -> None:
    values = [exponential(start, end, epoch / epochs) for epoch in range(epochs + 1)]
    assert values[0] == start
    assert values[-1] == pytest.approx(end, rel=1e-12)
    for one, other in zip(values, values[1:], strict=False):
        assert other / one == pytest.approx((end / start) ** (1 / epochs), rel=1e-9)


@given(temperatures, st.floats(0.0, 1.0))
def test_equal_ends_are_constant_to_the_bit(value: float, epoch: float) -> None:
    assert exponential(value, value, epoch) == value


@pytest.mark.parametrize("made", [Softmax, Sparse])
def test_a_temperature_that_cannot_divide_is_refused(made: type[Softmax] | type[Sparse]) -> None:
    with pytest.raises(InputError, match=r"relaxation\.end is 0"):
        made(end=0.0)
    with pytest.raises(InputError, match=r"relaxation\.start is -1"):
        made(start=-1.0)
