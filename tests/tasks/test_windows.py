"""Windows are divided in the order of time, and nothing that comes later is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch

from archgrad.errors import InputError
from archgrad.tasks.data import open_data
from archgrad.tasks.series import RawSeries
from archgrad.tasks.windows import SeriesData, window_parts

ROWS = torch.stack([torch.arange(100.0), 1000 + torch.arange(100.0)], dim=1).double()
RAW = RawSeries("count", ROWS, ("a", "b"), None, "", window=8, horizon=3, targets=(1,))


def data_of(raw: RawSeries = RAW, choice_share: float = 0.5, **options: int) -> SeriesData:
    words: dict[str, int] = {"seed": 0, "batch": 16} | options
    return SeriesData(raw, name="count", choice_share=choice_share, device=torch.device("cpu"), **words)


def test_a_window_is_followed_by_what_comes_next() -> None:
    x, y = next(data_of().once("test"))
    assert tuple(x.shape) == (16, 8, 2)
    assert tuple(y.shape) == (16, 3, 1)
    assert x[0, :, 0].tolist() == list(range(72, 80))
    assert y[0, :, 0].tolist() == [1080, 1081, 1082]


def forecast_rows(data: SeriesData, part: str) -> set[int]:
    return {int(row) - 1000 for _, y in data.once(part) for row in y.flatten()}


def test_no_row_is_forecast_for_two_parts() -> None:
    data = data_of()
    rows = {part: forecast_rows(data, part) for part in ("weights", "choices", "validation", "test")}
    assert rows["test"] == set(range(80, 100))
    assert rows["validation"] == set(range(70, 80))
    assert rows["weights"] | rows["choices"] == set(range(8, 70))
    assert not rows["weights"] & rows["choices"]
    assert max(rows["weights"]) < min(rows["choices"])
    assert forecast_rows(data, "train") == set(range(8, 80))
    assert [data.size(part) for part in ("validation", "test")] == [8, 18]
    joint = data_of(choice_share=0.0)
    assert forecast_rows(joint, "weights") == forecast_rows(joint, "choices") == set(range(8, 70))


def test_nothing_later_is_known() -> None:
    """Whatever happens after the training rows leaves scaling and training batches as they are; likewise the test."""
    later = ROWS.clone()
    later[70:] = 1e6
    one, two = data_of(), data_of(replace(RAW, values=later))
    assert (one.mean, one.std) == (two.mean, two.std)
    for part in ("weights", "choices"):
        for (x, y), (u, v) in zip(islice(one.stream(part), 8), islice(two.stream(part), 8), strict=True):
            assert torch.equal(x, u)
            assert torch.equal(y, v)
    later[70:80] = ROWS[70:80]
    tested = data_of(replace(RAW, values=later))
    for part in ("validation", "train"):
        for (x, y), (u, v) in zip(one.once(part), tested.once(part), strict=True):
            assert torch.equal(x, u)
            assert torch.equal(y, v)


def test_scaling_is_that_of_the_training_rows() -> None:
    data = data_of()
    assert data.mean == pytest.approx((34.5, 1034.5))
    assert data.std == pytest.approx((ROWS[:70, 0].std(correction=0).item(),) * 2)
    constant = data_of(replace(RAW, values=torch.ones(100, 2)))
    assert constant.std == (1.0, 1.0)


def test_a_stream_goes_on_where_it_stopped_and_is_shared_out() -> None:
    data = data_of()
    assert data.steps("weights") == data.size("weights") // 16
    first = list(islice(data.stream("weights"), 6))
    again = list(islice(data.stream("weights", 4), 2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first[4:], again, strict=True))
    assert not torch.equal(first[0][0], first[1][0])
    halves = [next(data_of(rank=rank, world=2).stream("weights"))[0] for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, dim=1).flatten(0, 1), first[0][0])


def test_parts_without_a_window_are_named() -> None:
    with pytest.raises(InputError, match="nothing is left for weights"):
        window_parts((20, 30, 40), 10, 6, 0.5)
    with pytest.raises(InputError, match="at least 0 and below 1"):
        window_parts((20, 30, 40), 10, 2, 1.0)


def test_series_are_opened_by_their_spec() -> None:
    data = open_data(
        "macro", seed=0, batch=8, choice_share=0.5, device="cpu", options={"window": 6, "targets": ["cpi"], "batch": 4}
    )
    assert isinstance(data, SeriesData)
    assert (data.task, data.name, data.input_shape, data.horizon) == ("forecasting", "macro", (6, 12), 4)
    assert len(next(data.stream("weights"))[0]) == 4
    with pytest.raises(InputError, match="data.flip is for images; macro holds series"):
        open_data("macro", seed=0, batch=8, choice_share=0.5, device="cpu", options={"flip": True})
    with pytest.raises(InputError, match="Unknown option 'windw'.*Did you mean 'window'"):
        open_data("macro", seed=0, batch=8, choice_share=0.5, device="cpu", options={"windw": 3})
