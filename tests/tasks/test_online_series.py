"""A stream shows every window before it is learned from, and keeps a bounded number of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad.errors import InputError
from archgrad.tasks.online_series import CHUNK, Rows, ticks


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 40), st.integers(0, 3))
def test_no_row_is_known_before_it_is_forecast(window: int, horizon: int, batch: int, count: int, seen: int) -> None:
    rows = [np.array([float(k), -float(k)]) for k in range(count)]
    known, tested, learned = seen * batch + window + horizon - 1, [], []
    for tick in ticks(rows, window=window, horizon=horizon, targets=[1], batch=batch, position=seen * batch):
        assert tick.test is not None
        for x, y in zip(*tick.test, strict=True):
            first = -int(y[0, 0])  # row that is forecast first
            assert first >= known
            assert x[:, 0].tolist() == [*range(first - window, first)]
            assert (-y[:, 0]).tolist() == [*range(first, first + horizon)]
            tested.append(first)
        for _, y in zip(*tick.learn, strict=True):
            learned.append(-int(y[0, 0]))
        known = learned[-1] + horizon
    assert tested == [*range(tested[0], tested[0] + len(tested))] if tested else not learned
    assert learned == [*range(window + seen * batch, window + seen * batch + len(learned))]


def test_a_stream_that_goes_on_later_is_the_same_stream() -> None:
    rows = [np.array([np.sin(k)]) for k in range(60)]
    words = {"window": 3, "horizon": 2, "targets": [0], "batch": 4}
    whole = [*ticks(rows, **words)]  # type: ignore[arg-type]
    first = [*ticks(rows[:30], **words)]  # type: ignore[arg-type]
    rest = [*ticks(rows, position=first[-1].position, **words)]  # type: ignore[arg-type]
    assert [tick.position for tick in first + rest] == [tick.position for tick in whole]
    for one, other in zip(first + rest, whole, strict=True):
        assert bool((one.learn[0] == other.learn[0]).all())


def test_rows_come_in_chunks_with_a_digest_of_what_was_read(tmp_path: Path) -> None:
    path, count = tmp_path / "series.csv", CHUNK + 10
    lines = [f"2020-01-01 {k // 60:02d}:{k % 60:02d}:00,{k},{k / 2}" for k in range(count)]
    path.write_text("\n".join(["date, a,b", *lines]))
    rows = Rows(str(path))
    assert rows.names == ("a", "b")
    values = np.stack([*rows])
    assert values.shape == (count, 2)
    assert values[-1].tolist() == [count - 1, (count - 1) / 2]
    again = Rows(str(path))
    assert [*again][0].tolist() == [0.0, 0.0]
    assert again.digest == rows.digest
    path.write_text("\n".join(["date, a,b", *lines[:-1], "2020-02-01,x,1"]))
    with pytest.raises(InputError, match=f"line {count + 1}"):
        [*Rows(str(path))]
