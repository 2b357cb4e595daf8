"""ArchForecaster: tables with and without dates, a search behind ``fit``, and what a score is."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.estimators.cells import SERIES

from archgrad import ArchForecaster
from archgrad.errors import InputError
from archgrad.tasks.data import open_data

HOURS = pd.date_range("2024-03-01", periods=90, freq="h")
TIME = np.arange(90)
FRAME = pd.DataFrame({"load": np.sin(TIME / 2), "wind": np.cos(TIME / 3), "step": TIME % 5.0}, index=HOURS)
VALUES = FRAME.to_numpy()


def small(**parameters: Any) -> ArchForecaster:
    words = {"architecture": SERIES, "window": 6, "horizon": 2, "hidden": 4, "train_epochs": 2, "device": "cpu"}
    return ArchForecaster(**{**words, "random_state": 1, **parameters})


@pytest.fixture(scope="module")
def fitted() -> ArchForecaster:
    return small(targets=["step", "load"]).fit(FRAME)


def test_forecasts_go_on_where_the_table_ends(fitted: ArchForecaster) -> None:
    ahead = fitted.predict()
    assert ahead.index.equals(pd.date_range("2024-03-04 18:00", periods=2, freq="h"))
    assert ahead.columns.tolist() == fitted.targets_ == ["step", "load"]
    with torch.no_grad():
        expected = fitted.trained_.network(torch.tensor(VALUES[-6:]).float()[None])[0]
    assert ahead.to_numpy() == pytest.approx(expected.numpy())
    assert fitted.predict(FRAME[-6:]).equals(ahead)
    column = fitted.predict(FRAME.reset_index(names="hour"))
    assert column.columns.tolist() == ["hour", "step", "load"] and column["hour"].tolist() == list(ahead.index)
    assert fitted.predict(FRAME[:-1]).index[0] == HOURS[-1]
    assert fitted.n_features_in_ == 3 and fitted.feature_names_in_.tolist() == ["load", "wind", "step"]


def test_arrays_give_arrays(fitted: ArchForecaster) -> None:
    plain = small(targets=[2, 0]).fit(VALUES)
    assert plain.predict() == pytest.approx(fitted.predict().to_numpy())
    assert plain.predict(torch.tensor(VALUES[-6:])).shape == (2, 2)
    assert plain.score(VALUES) == pytest.approx(fitted.score(FRAME))


def test_all_of_the_table_is_learnt(fitted: ArchForecaster) -> None:
    data = open_data(
        {"train": FRAME, "test": FRAME[-2:].shift(2, freq="h")},
        seed=0,
        batch=8,
        choice_share=0.0,
        device="cpu",
        options={"window": 6, "horizon": 2},
    )
    assert data.fingerprint == fitted.trained_.metadata["fingerprint"]
    assert data.size("train") == 90 - 6 - 2 + 1 and data.size("test") == 1


def test_a_score_is_that_of_every_window(fitted: ArchForecaster) -> None:
    found, truth = [], []
    for start in range(len(FRAME[:20]) - 8 + 1):
        found.append(fitted.predict(FRAME[start : start + 6]).to_numpy())
        truth.append(FRAME[["step", "load"]].to_numpy()[start + 6 : start + 8])
    expected = r2_score(np.concatenate(truth), np.concatenate(found))
    assert fitted.score(FRAME[:20]) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="window \\+ horizon = 8 rows at least; got 7"):
        fitted.score(FRAME[:7])


def test_y_is_forecast_and_x_seen_beside_it() -> None:
    X, y = FRAME[["wind", "step"]], FRAME["load"]
    beside, alone = small().fit(X, y), small(targets=["load"]).fit(FRAME[["wind", "step", "load"]])
    assert beside.n_features_in_ == 2 and beside.targets_ == ["load"]
    expected = alone.predict()["load"]
    assert (
        beside.predict().equals(expected)
        and beside.predict(X, y).equals(expected)
        and beside.predict(X).equals(expected)
    )
    assert beside.score(X, y) == pytest.approx(alone.score(FRAME[["wind", "step", "load"]]))
    with pytest.raises(InputError, match="fitted with y, and goes on from its past: give y beside this X"):
        beside.predict(X[:-1])
    with pytest.raises(InputError, match="fitted without y"):
        alone.predict(FRAME[["wind", "step", "load"]], y)
    with pytest.raises(InputError, match="it is y that is forecast"):
        small(targets=["wind"]).fit(X, y)
    plain = small().fit(X.to_numpy(), y.to_numpy())
    assert plain.predict() == pytest.approx(expected.to_numpy()) and plain.predict().shape == (2,)


def test_a_search_finds_the_cell(fitted: ArchForecaster) -> None:
    settings = {"space.nodes": 2, "data.batch": 16}
    found = small(architecture=None, recipe="darts", epochs=1, train_epochs=1, settings=settings).fit(FRAME)
    assert found.architecture_.space == "darts-rnn" and found.architecture_.made_by["recipe"] == "darts"
    assert len(found.search_history_) == 1 and found.predict().shape == (2, 3)


def test_it_is_cloned_pickled_and_made_again(fitted: ArchForecaster) -> None:
    expected = fitted.predict()
    assert clone(fitted).fit(FRAME).predict().equals(expected)
    assert pickle.loads(pickle.dumps(fitted)).predict().equals(expected)


def test_it_works_in_pipelines_and_cross_validation() -> None:
    scores = cross_val_score(small(train_epochs=1), FRAME, cv=TimeSeriesSplit(3))
    assert scores.shape == (3,) and np.isfinite(scores).all()
    pipeline = make_pipeline(StandardScaler(), small(train_epochs=1)).fit(VALUES)
    assert pipeline.predict(VALUES).shape == (2, 3) and np.isfinite(pipeline.score(VALUES))


@pytest.mark.parametrize(
    ("parameters", "table", "message"),
    [
        ({"window": 80}, FRAME, "a window of 80 and a horizon of 2 need at least 84: set data.window"),
        ({"targets": ["lod"]}, FRAME, "Unknown series 'lod'.*Did you mean 'load'"),
        ({"date": "day"}, FRAME, "Unknown column 'day'"),
        ({}, FRAME.assign(wind=np.nan), "row 0, column 'wind': the cell is empty"),
        ({}, FRAME[::-1], "does not come after"),
    ],
)
def test_what_cannot_be_forecast_is_said(parameters: dict[str, Any], table: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**parameters).fit(table)
