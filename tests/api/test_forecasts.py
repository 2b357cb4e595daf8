"""A trained forecaster is measured and asked: on its own data, on files, and on tables that do not suit it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

import archgrad
from archgrad.api.search import SearchResult
from archgrad.api.train import TrainResult
from archgrad.errors import InputError
from archgrad.tasks.series_macro import load_macro


@pytest.fixture(scope="module")
def trained(forecast_result: SearchResult, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Return a forecaster of two series of macro, with its run."""
    return archgrad.train(forecast_result, run=tmp_path_factory.mktemp("trained") / "run", device="cpu")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return macro as a CSV file with dates."""
    raw = load_macro(None)
    frame = pd.DataFrame(raw.values.numpy(), columns=list(raw.names))
    frame.insert(0, "quarter", list(raw.dates or ()))
    frame.to_csv(tmp_path / "macro.csv", index=False)
    return tmp_path / "macro.csv"


def test_it_is_measured_as_at_the_end_of_its_training(trained: TrainResult, table: Path) -> None:
    assert archgrad.evaluate(trained) == pytest.approx(trained.metrics)
    assert trained.run is not None
    assert archgrad.evaluate(trained.run, data=f"csv:{table}", device="cpu") == pytest.approx(trained.metrics)
    with pytest.raises(InputError, match="on csv:PATH, macro, hf:NAME, a frame or rows of numbers; got a list"):
        archgrad.evaluate(trained, data=[1.0])
    with pytest.raises(InputError, match="digits holds no series"):
        archgrad.evaluate(trained, data="digits")
    frame = pd.read_csv(table).rename(columns={"cpi": "prices"})
    frame.to_csv(table, index=False)
    with pytest.raises(InputError, match="no.*series|Unknown"):
        archgrad.evaluate(trained, data=f"csv:{table}", device="cpu")


def test_its_report_shows_forecasts_beside_the_truth(trained: TrainResult) -> None:
    assert trained.run is not None
    kept = json.loads((trained.run / "forecasts.json").read_text())
    assert kept["targets"] == ["realgdp", "cpi"] and len(kept["windows"]) == 3
    # two targets over two steps: their mean is the metric of the test part
    assert sum(kept["error_by_step"]["network"]) / 2 == pytest.approx(trained.metrics["mae"], rel=1e-4)
    page = archgrad.report(trained.run).read_text()
    for words in (
        "What it forecasts",
        "Error of the forecasts by step ahead",
        "2009Q3",
        "seasonal naive (4)",
        "mse data",
    ):
        assert words in page


def test_forecasts_follow_the_last_row(trained: TrainResult, table: Path) -> None:
    raw = load_macro(None)
    rows = archgrad.predict(trained, table, device="cpu")
    assert [list(row) for row in rows] == [["date", "realgdp", "cpi"]] * 2
    assert [row["date"] for row in rows] == ["2009Q4", "2010Q1"]
    with torch.no_grad():
        expected = trained.network(raw.values[-4:].float()[None])[0]
    assert [[row["realgdp"], row["cpi"]] for row in rows] == expected.tolist()
    plain = archgrad.predict(trained, raw.values.numpy(), device="cpu")
    assert [row["step"] for row in plain] == [1, 2] and plain[0]["cpi"] == rows[0]["cpi"]


def test_columns_are_found_by_name(trained: TrainResult, table: Path) -> None:
    rows = archgrad.predict(trained, table, device="cpu")
    frame = pd.read_csv(table)
    frame = frame[frame.columns[::-1]].assign(remark="a word")
    frame.to_csv(table, index=False)
    assert archgrad.predict(trained, table, device="cpu") == rows
    frame.drop(columns="quarter").to_csv(table, index=False)
    assert archgrad.predict(trained, table, device="cpu")[1]["step"] == 2


def test_what_does_not_suit_is_named(trained: TrainResult, table: Path) -> None:
    frame = pd.read_csv(table)
    for wrong, message in (
        (frame.drop(columns="cpi"), "lacks series of the network: cpi"),
        (frame.head(3), "has 3 rows; the network needs the last 4"),
        (frame.assign(cpi=""), "line 2, column 'cpi': the cell is empty"),
    ):
        wrong.to_csv(table, index=False)
        with pytest.raises(InputError, match=message):
            archgrad.predict(trained, table, device="cpu")
    with pytest.raises(InputError, match="nowhere.csv cannot be read: No such file"):
        archgrad.predict(trained, "nowhere.csv")
    with pytest.raises(InputError, match=r"is \(4, 3\); the network takes rows of 12 series"):
        archgrad.predict(trained, torch.zeros(4, 3))
