"""The pictures of a forecaster: from a small file alone, whatever is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.runs import make_run

from archgrad.reporting import forecast_plots, plots
from archgrad.reporting.record import Record, read_record
from archgrad.reporting.report import render_report

SHOWN: dict[str, Any] = {
    "schema": 1,
    "targets": ["load & <b>wind</b>", "oil $x$"],
    "windows": [
        {
            "row": 40,
            "dates": [f"2024-03-0{day} 10:00:00" for day in range(1, 6)],
            "seen": [[1.0, 2.0], [1.5, 2.5], [2.0, 1.0]],
            "truth": [[2.5, 0.5], [3.0, None]],
            "forecast": [[2.0, 1.0], [2.0, 1.5]],
        },
        {"row": 50, "dates": None, "seen": [], "truth": [[2.5, 0.5]], "forecast": [[2.0, 1.0]]},
    ],
    "error_by_step": {"network": [0.5, 0.75], "last value": [0.25, None], "seasonal naive (2)": ["NaN", None]},
}


def record(shown: Any) -> Record:
    return Record(Path("run"), forecasts=shown)


def test_forecasts_stand_beside_the_truth() -> None:
    drawn = forecast_plots.forecasts(record(SHOWN), "f")
    assert drawn is not None and drawn.count("load &amp; &lt;b&gt;wind&lt;/b&gt;</text>") == 2
    assert drawn.count("oil $x$</text>") == 2
    for words in (">truth<", ">forecast<", ">2024-03-04 10:00<", ">2024-03-05 10:00<", ">row 50<"):
        assert words in drawn
    assert "<b>" not in drawn
    assert forecast_plots.forecasts(record(SHOWN), "f") == drawn


def test_errors_stand_beside_those_of_the_baselines() -> None:
    drawn = forecast_plots.errors(record(SHOWN), "e")
    assert drawn is not None and ">last value<" in drawn and ">step ahead<" in drawn
    assert "seasonal" not in drawn  # no number in it is one


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"targets": [], "windows": SHOWN["windows"], "error_by_step": []},
        {"targets": ["a"], "windows": [{"forecast": [3, "x"]}, 7], "error_by_step": {"network": "x", "b": [None]}},
        {"targets": 3, "windows": {"row": 1}, "error_by_step": None},
    ],
)
def test_nothing_is_drawn_of_nothing(shown: Any) -> None:
    assert forecast_plots.forecasts(record(shown), "f") is None
    assert forecast_plots.errors(record(shown), "e") is None


def test_errors_in_several_units_get_a_panel_each() -> None:
    epochs = [
        {"event": "epoch", "phase": "train", "epoch": k, "validation": {"loss": 1, "mse": 1 / k, "mse_data": 1e9 / k}}
        for k in range(1, 5)
    ]
    forecaster = Record(Path("run"), events=epochs)
    drawn = forecast_plots.learning_curves(forecaster, "l")
    assert drawn is not None and ">mse<" in drawn and ">mse data<" in drawn and ">loss<" not in drawn
    assert plots.training_scores(forecaster, "s") is None
    classifier = Record(Path("run"), events=[{**event, "train_accuracy": 0.5} for event in epochs])
    assert forecast_plots.learning_curves(classifier, "l") is None
    assert plots.training_scores(classifier, "s") is not None


def test_the_page_shows_them_or_says_that_the_file_is_damaged(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=1)
    (run / "forecasts.json").write_text(json.dumps(SHOWN))
    page = render_report([read_record(run)])
    assert "What it forecasts" in page and "Error of the forecasts by step ahead" in page
    (run / "forecasts.json").write_text('{"targets": [')
    damaged = read_record(run)
    assert damaged.forecasts == {} and "forecasts.json cannot be read, so no forecasts are shown." in damaged.missing
    (run / "forecasts.json").unlink()
    assert "What it forecasts" not in render_report([read_record(run)])
