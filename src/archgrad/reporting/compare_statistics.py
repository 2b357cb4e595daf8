"""What a few runs say about an arm: intervals, ranks, and tests against the first arm. Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

__all__ = ["bootstrap_interval", "describe", "holm", "main_figure", "mean_ranks", "permutation_p"]

CONFIDENCE = 0.95
RESAMPLES = 9999
MAIN = ("test", "table", "child", "derived_validation")
"""Which figure a comparison is about: the first of these that there is."""


def main_figure(names: Sequence[str]) -> str | None:
    """Return the figure on which arms are ranked first of all: what was measured farthest from the search."""
    return next((name for name in MAIN if name in names), None)


def bootstrap_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean (Efron and Tibshirani 1993, section 13.3).

    Of few runs it is too narrow rather than too wide: with n equal values it is a point. The corrected variants need
    more runs than comparisons have.

    Args:
        values: one a run.
        confidence: share of intervals that are to hold the mean.

    Returns:
        Low and high end; None for fewer than two values. The same values give the same interval.
    """
    import numpy
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None
    found = bootstrap(
        (numpy.asarray(values, dtype=float),),
        numpy.mean,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=numpy.random.default_rng(0),
        vectorized=True,
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def permutation_p(first: Mapping[int, float], other: Mapping[int, float]) -> float | None:
    """Return the two-sided p-value that two arms have the same mean, by a permutation test.

    Paired where two seeds or more agree: the signs of the differences are exchanged, all 2^n of them up to 13 seeds, so
    that the least p is 2 / 2^n: 0.25 for 3 seeds, 0.0078 for 8. Otherwise the runs are exchanged between the arms.

    Args:
        first: seed -> value of the standard.
        other: seed -> value of the other arm.

    Returns:
        None if there are too few runs to tell anything.
    """
    import numpy
    from scipy.stats import permutation_test

    common = sorted(first.keys() & other.keys())
    words: dict[str, Any] = {"n_resamples": RESAMPLES, "rng": numpy.random.default_rng(0), "vectorized": True}
    if len(common) >= 2:
        differences = numpy.array([other[seed] - first[seed] for seed in common], dtype=float)
        found = permutation_test((differences,), numpy.mean, permutation_type="samples", **words)
        return float(found.pvalue)
    if min(len(first), len(other)) < 2:
        return None
    samples = numpy.array(list(first.values()), dtype=float), numpy.array(list(other.values()), dtype=float)

    def difference(a: Any, b: Any, axis: int) -> Any:
        return numpy.mean(a, axis=axis) - numpy.mean(b, axis=axis)

    return float(permutation_test(samples, difference, permutation_type="independent", **words).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for how many there are (Holm 1979), so that the chance of any false alarm is kept.

    Sorted, the k-th of m becomes max over j <= k of min(1, (m - j + 1) p_j).

    Args:
        p_values: None where there was no test.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for done, (p, place) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - done) * p))
        adjusted[place] = least
    return adjusted


def mean_ranks(arms: Sequence[Mapping[int, float]], higher: bool) -> list[float | None]:
    """Return the rank of every arm, 1 for the best, averaged over the seeds that all have; ties share their ranks.

    Args:
        arms: seed -> value, of every arm.
        higher: whether the higher value is the better one.
    """
    from scipy.stats import rankdata

    seeds = set.intersection(*(set(arm) for arm in arms)) if arms else set()
    if not seeds:
        return [None] * len(arms)
    ranks = [rankdata([-arm[seed] if higher else arm[seed] for arm in arms]) for seed in sorted(seeds)]
    return [mean(float(row[place]) for row in ranks) for place in range(len(arms))]


def describe(arms: Sequence[Mapping[int, float]], higher: bool) -> list[dict[str, Any] | None]:
    """Return everything that is said of one figure, for every arm; None for an arm without it.

    Args:
        arms: seed -> value, of every arm; the first is the standard.
        higher: whether the higher value is the better one.

    Returns:
        ``mean``, ``spread`` (sample standard deviation), ``best``, ``runs``, ``low`` and ``high`` (95 % bootstrap
        interval of the mean), ``rank`` (mean over common seeds), ``p`` (against the standard) and ``p_holm`` (adjusted
        for the number of arms).
    """
    tests = [permutation_p(arms[0], arm) if arm and arms[0] else None for arm in arms[1:]]
    p_values, adjusted = [None, *tests], [None, *holm(tests)]
    ranked = [place for place, arm in enumerate(arms) if arm]
    ranks = dict(zip(ranked, mean_ranks([arms[place] for place in ranked], higher), strict=True))
    described: list[dict[str, Any] | None] = []
    for place, arm in enumerate(arms):
        values = [arm[seed] for seed in sorted(arm)]
        if not values:
            described.append(None)
            continue
        low, high = bootstrap_interval(values) or (None, None)
        described.append(
            {
                "mean": mean(values),
                "spread": stdev(values) if len(values) > 1 else None,
                "best": max(values) if higher else min(values),
                "runs": len(values),
                "low": low,
                "high": high,
                "rank": ranks[place],
                "p": p_values[place],
                "p_holm": adjusted[place],
            }
        )
    return described
