"""Series from Python take every verb's way, with the numbers that the same series in a file gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import archgrad
from archgrad.api.settings import search_config
from archgrad.errors import InputError

HOURS = pd.date_range("2024-03-01", periods=80, freq="h")
FRAME = pd.DataFrame(
    {"load": np.sin(np.arange(80) / 4), "wind": np.cos(np.arange(80) / 3), "price": np.arange(80) % 7.0}, index=HOURS
)
TINY = {
    "supernet.hidden": 4,
    "space.nodes": 2,
    "data.window": 6,
    "data.horizon": 2,
    "data.targets": ["price", "load"],
    "train.hidden": 4,
    "train.epochs": 1,
}


def test_a_frame_goes_the_way_of_its_file(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "series.csv", index_label="hour")
    run, spec = tmp_path / "run", f"csv:{tmp_path / 'series.csv'}"
    found = archgrad.search("random", data=FRAME, run=run, epochs=1, settings=TINY, device="cpu")
    assert (found.data, found.space) == ("in-memory", "darts-rnn")
    from_file = archgrad.search("random", data=spec, epochs=1, settings=TINY, device="cpu")
    assert from_file.validation == found.validation
    with pytest.raises(InputError, match="data given from Python; give the same data again"):
        archgrad.search(run=run, resume=True)
    archgrad.search(data=FRAME, run=run, resume=True)
    with pytest.raises(InputError, match="data=frame"):
        archgrad.train(run, device="cpu")

    trained = archgrad.train(run, data=FRAME, device="cpu")
    # what a search on a file settled holds for a frame, too
    assert archgrad.train(from_file, data=FRAME, device="cpu").metrics == trained.metrics
    assert trained.metadata["series"] == ["load", "wind", "price"]
    for data in (FRAME, spec):
        assert archgrad.evaluate(run, data=data, device="cpu") == pytest.approx(trained.metrics)
    rows = FRAME.to_numpy()
    with pytest.raises(InputError, match="does not hold the series of the network|Unknown series 'price'"):
        archgrad.evaluate(run, data=rows)
    with pytest.raises(InputError, match="data=frame"):
        archgrad.evaluate(run)

    ahead = archgrad.predict(run, FRAME, device="cpu")
    assert ahead.index.equals(pd.date_range("2024-03-04 08:00", periods=2, freq="h"))
    of_file = archgrad.predict(run, tmp_path / "series.csv", device="cpu")
    assert of_file == [
        {"date": str(hour), **row} for hour, row in zip(ahead.index, ahead.to_dict("records"), strict=True)
    ]
    assert archgrad.predict(run, rows, device="cpu")[1] == {"step": 2, **ahead.iloc[1].to_dict()}
    # columns are found by name, wherever the dates are
    other = FRAME[["price", "wind", "load"]].reset_index(names="hour").assign(remark="-")
    later = archgrad.predict(run, other, device="cpu")
    assert later.columns.tolist() == ["hour", "price", "load"] and later["hour"].tolist() == list(ahead.index)
    assert later["price"].tolist() == ahead["price"].tolist()
    with pytest.raises(InputError, match="The frame lacks series of the network: wind"):
        archgrad.predict(run, FRAME.drop(columns="wind"))


def test_rows_of_a_single_series() -> None:
    settings = {**TINY, "data.targets": None}
    trained = archgrad.train("DARTS_RNN_V1", data=FRAME["load"].tolist(), settings=_of_training(settings), device="cpu")
    ahead = archgrad.predict(trained, FRAME["load"].to_numpy(), device="cpu")
    assert [list(row) for row in ahead] == [["step", "0"]] * 2
    assert archgrad.evaluate(trained, data=FRAME["load"].to_numpy(), device="cpu") == pytest.approx(trained.metrics)


def _of_training(settings: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if key.startswith(("train", "data"))}


def test_what_is_searched_follows_from_the_data() -> None:
    assert search_config("darts", data=FRAME).space.name == "darts-rnn"
    assert search_config("darts", data=FRAME, space="two-input-rnn").space.name == "two-input-rnn"
    assert search_config("darts", data=(np.zeros((4, 1, 8, 8)), [0, 1, 0, 1])).space.name == "darts"
    with pytest.raises(InputError, match="or series: a pandas frame, or rows of numbers"):
        archgrad.search("darts", data=np.zeros((4, 1, 8, 8)))
    with pytest.raises(InputError, match="data.windw: there is no such setting. Did you mean data.window"):
        archgrad.search("darts", data=FRAME, settings={"data.windw": 3})
    with pytest.raises(InputError, match="These cells are for images, and own frame holds series"):
        archgrad.train("DARTS_V2", data=FRAME, settings=_of_training(TINY))
