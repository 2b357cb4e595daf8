"""The test for drift fires when errors rise and not before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archgrad.engine.growing.drift import PageHinkley, page_hinkley


def run(values: list[float], tolerance: float = 0.05, threshold: float = 10.0) -> int | None:
    seen = PageHinkley()
    for index, value in enumerate(values):
        seen, drifted = page_hinkley(seen, value, tolerance, threshold)
        if drifted:
            return index
    return None


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=30), st.floats(0.1, 10.0))
def test_it_is_the_sum_of_the_definition_whatever_the_unit(values: list[float], unit: float) -> None:
    x = np.array(values) * unit
    means = np.cumsum(x) / np.arange(1, len(x) + 1)
    m = np.cumsum(x - 1.05 * means)
    seen = PageHinkley()
    for value in x:
        seen, _ = page_hinkley(seen, float(value), 0.05, 10.0)
    assert np.isclose(seen.total, m[-1], atol=1e-9 * unit)
    assert np.isclose(seen.least, min(0.0, m.min()), atol=1e-9 * unit)
    assert run([*x]) == run(values)


def test_a_rise_is_found_soon_and_noise_is_none() -> None:
    noise = np.random.default_rng(0).uniform(0.8, 1.2, 400)
    assert run([*noise]) is None
    found = run([*noise[:200], *(3.0 * noise[200:])])
    assert found is not None
    assert 200 <= found < 215
