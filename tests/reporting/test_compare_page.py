"""compare.html: one page without any network, every arm and run in it, curves by hand."""

from __future__ import annotations

from typing import Any

import pytest

from archgrad.reporting.compare_page import render_comparison
from archgrad.reporting.compare_plots import mean_curve
from archgrad.reporting.compare_statistics import describe

VALUES = {"darts": {0: 0.8, 1: 0.85, 2: 0.9}, "<wide> & deep": {0: 0.9, 1: 0.95, 2: 0.97}}


def page(**changed: Any) -> str:
    arms = list(VALUES)
    described = describe(list(VALUES.values()), higher=True)
    table: list[dict[str, Any]] = [{"arm": arm, "test": found} for arm, found in zip(arms, described, strict=True)]
    runs: list[dict[str, Any]] = [
        {"arm": arm, "seed": seed, "metric": "accuracy", "test": value}
        for arm, values in VALUES.items()
        for seed, value in values.items()
    ]
    runs.append({"arm": "darts", "seed": 3, "error": "Its process was ended by SIGKILL."})
    points = [
        {"arm": arm, "seed": seed, "seconds": 2.0 * epoch, "images": 100 * epoch, "value": value - 0.1 / epoch}
        for arm, values in VALUES.items()
        for seed, value in values.items()
        for epoch in (1, 2)
    ]
    given = {"title": "runs", "figures": {"test": "test"}, "table": table, "runs": runs, "points": points}
    return render_comparison(**{**given, **changed})


def test_the_page_holds_every_arm_and_run_and_asks_no_network() -> None:
    text = page()
    assert text == page()
    assert text.count("<svg role=") == 3  # two anytime curves, one box plot
    assert "&lt;wide&gt; &amp; deep" in text and "<wide>" not in text
    assert "test accuracy" in text and "failed: Its process was ended by SIGKILL." in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "<script" not in text
    assert "<td>0.25</td>" in text  # the least p that three seeds can give


def test_a_comparison_of_which_nothing_is_known_is_still_a_page() -> None:
    text = page(table=[{"arm": "darts"}], runs=[{"arm": "darts", "seed": 0, "error": "No."}], points=[])
    assert "failed: No." in text and "<svg role=" not in text


def test_a_mean_curve_by_hand() -> None:
    runs = [
        [{"seconds": 1.0, "value": 0.2}, {"seconds": 3.0, "value": 0.6}, {"seconds": 9.0, "value": 0.9}],
        [{"seconds": 2.0, "value": 0.4}, {"seconds": 5.0, "value": 0.5}],
    ]
    x, y, low, high = mean_curve(runs, "seconds")
    assert (x, low, high) == ([1.5, 4.0], [0.2, 0.5], [0.4, 0.6])
    assert y == pytest.approx([0.3, 0.55])
