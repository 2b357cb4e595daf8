"""Statistics of few runs against oracles: all resamples written out, all signs tried, Holm's own example."""

from __future__ import annotations

from itertools import combinations, product
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad.reporting.compare_statistics import (
    bootstrap_interval,
    describe,
    holm,
    main_figure,
    mean_ranks,
    permutation_p,
)


def test_the_interval_is_that_of_all_resamples() -> None:
    values = [0.1, 0.4, 0.45, 0.9]
    means = [mean(resample) for resample in product(values, repeat=4)]
    low, high = bootstrap_interval(values) or (0, 0)
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.03)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.03)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    assert bootstrap_interval([0.5]) is None


def test_paired_runs_are_tested_by_all_signs() -> None:
    first = {0: 1.0, 1: 2.0, 2: 3.5, 3: 1.0}
    other = {3: 1.9, 2: 3.25, 1: 2.75, 0: 1.5, 9: 100.0}
    differences = [other[seed] - first[seed] for seed in first]
    flipped = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in product((1, -1), repeat=4)]
    as_far = sum(abs(total) >= abs(sum(differences)) - 1e-12 for total in flipped)
    assert permutation_p(first, other) == pytest.approx(as_far / 16)
    clear = {seed: value + 1 for seed, value in first.items()}
    assert permutation_p(first, clear) == pytest.approx(2 / 2**4)  # the least that four seeds can give
    assert permutation_p(first, first) == 1.0


def test_unpaired_runs_are_tested_by_all_exchanges() -> None:
    first, other = {0: 1.0, 1: 1.5, 2: 1.1}, {5: 2.0, 6: 2.5, 7: 1.3}
    pooled = [*first.values(), *other.values()]
    seen = mean(first.values()) - mean(other.values())
    splits = [
        mean(pooled[k] for k in group) - mean(pooled[k] for k in range(6) if k not in group)
        for group in combinations(range(6), 3)
    ]
    as_far = sum(abs(split) >= abs(seen) - 1e-12 for split in splits)
    assert permutation_p(first, other) == pytest.approx(as_far / len(splits))
    assert permutation_p(first, {5: 2.0}) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_never_smaller_keeps_the_order_and_is_at_most_bonferroni(p_values: list[float]) -> None:
    adjusted = [p for p in holm(p_values) if p is not None]
    assert all(p <= a <= min(1, len(p_values) * p) + 1e-12 for p, a in zip(p_values, adjusted, strict=True))
    by_p = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_ranks_over_the_seeds_that_all_have() -> None:
    arms = [{0: 0.9, 1: 0.8, 2: 0.1}, {0: 0.9, 1: 0.7}, {0: 0.5, 1: 0.95}]
    assert mean_ranks(arms, higher=True) == [(1.5 + 2) / 2, (1.5 + 3) / 2, (3 + 1) / 2]
    assert mean_ranks([{0: 1.0, 1: 5.0}, {0: 2.0, 1: 6.0}], higher=False) == [1.0, 2.0]
    assert mean_ranks([{0: 1.0}, {1: 1.0}], higher=False) == [None, None]


def test_what_is_said_of_a_figure() -> None:
    standard, empty, better = describe([{0: 1.0, 1: 2.0}, {}, {0: 2.0, 1: 4.0}], higher=True)
    assert standard is not None and better is not None and empty is None
    assert (standard["mean"], standard["best"], standard["runs"], standard["p"]) == (1.5, 2.0, 2, None)
    assert (better["rank"], standard["rank"]) == (1.0, 2.0)
    assert better["p"] == better["p_holm"] == 0.5 and better["low"] <= 3.0 <= better["high"]


def test_the_figure_farthest_from_the_search_is_the_main_one() -> None:
    assert main_figure(["validation", "derived_validation", "child", "test"]) == "test"
    assert main_figure(["parameters"]) is None
