"""The informed schedule: an exact balance of skipped and taken steps, whatever the gradients do."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.engine.schedules.informed import MULTIPLIER, Informed, moving_average, next_threshold
from archgrad.errors import InputError


class Recorded:
    """Steps that are only written down; the gradients' squares are given."""

    def __init__(self, squares: list[float]) -> None:
        self.squares, self.index, self.elapsed, self.done = squares, 0, 0.0, ""

    def choice_step(self) -> None:
        self.done += "c"

    def policy_step(self, baseline: float | None) -> float:
        self.done += f"p({baseline})"
        return 2.0

    def weight_gradients(self) -> None:
        self.done += "g"

    def gradient_square(self) -> float:
        return self.squares[self.index]

    def weight_step(self) -> None:
        self.done += "w"

    def joint_gradients(self, estimator: Literal["pathwise", "score_function", "credit"]) -> None:
        raise AssertionError

    def apply_to_choices(self) -> None:
        raise AssertionError


def played(schedule: Informed, squares: Any) -> list[str]:
    steps, orders = Recorded([float(value) for value in squares]), []
    for index in range(len(steps.squares)):
        steps.index, steps.done = index, ""
        schedule(steps)
        orders.append(steps.done)
    return orders


def noisy(count: int, seed: int = 0) -> numpy.ndarray[Any, Any]:
    """Return squared norms like a search's: they drift by a factor of fifty and scatter by a third."""
    generator = numpy.random.default_rng(seed)
    drift = numpy.exp(4 * numpy.sin(numpy.linspace(0, 3, count)) * numpy.linspace(1, 0.2, count))
    return drift * numpy.exp(0.3 * generator.standard_normal(count))


@given(st.floats(0.5, 20), st.floats(0.05, 1), st.integers(0, 10**6), st.integers(1, 400))
def test_the_balance_of_steps_is_the_logarithm_of_the_threshold(
    ratio: float, smoothing: float, seed: int, count: int
) -> None:
    schedule = Informed(ratio=ratio, smoothing=smoothing)
    played(schedule, noisy(count, seed))
    assert schedule.taken + schedule.skipped == count
    balance = schedule.skipped - ratio * schedule.taken
    assert balance == pytest.approx(math.log(schedule.threshold / schedule.start) / math.log(1.05), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ratio", [1.0, 3.0, 10.0])
def test_in_the_long_run_the_ratio_is_the_asked_one(ratio: float) -> None:
    schedule = Informed(ratio=ratio)
    played(schedule, noisy(20_000))
    before = schedule.taken, schedule.skipped
    played(schedule, noisy(20_000, seed=1))
    taken, skipped = schedule.taken - before[0], schedule.skipped - before[1]
    assert skipped / taken == pytest.approx(ratio, rel=0.02)


def test_choice_steps_are_taken_where_the_gradients_are_small() -> None:
    schedule, squares = Informed(ratio=10), noisy(20_000)
    taken = numpy.array(["c" in order for order in played(schedule, squares)])
    assert squares[taken].mean() < squares.mean()


def test_every_update_of_a_small_example_by_hand() -> None:
    schedule, threshold, average = Informed(ratio=2, smoothing=0.5, start=0.6), 0.6, 0.0
    for square in (1.0, 2.0, 0.4, 0.1, 0.0, 3.0, 0.2):
        average = 0.5 * square + 0.5 * average
        due = 0 < average < threshold
        threshold = threshold / 1.05**2 if due else threshold * 1.05
        assert played(schedule, [square]) == ["gcw" if due else "gw"]
        assert schedule.report() == pytest.approx(
            {
                "gradient_square": square,
                "average": average,
                "threshold": threshold,
                "taken": schedule.taken,
                "skipped": schedule.skipped,
            }
        )
    assert (schedule.taken, schedule.skipped) == (3, 4)


def test_gradients_of_zero_tell_nothing() -> None:
    assert played(Informed(), [0.0, 0.0]) == ["gw", "gw"]


def test_the_formulas() -> None:
    assert moving_average(2.0, 5.0, 0.2) == pytest.approx(0.2 * 5 + 0.8 * 2)
    assert moving_average(2.0, 5.0, 1.0) == 5.0
    assert next_threshold(3.0, False, 10) == 3.0 * MULTIPLIER
    assert next_threshold(3.0, True, 10) == pytest.approx(3.0 / 1.05**10, rel=1e-15)


@pytest.mark.parametrize("ratio", [1.0, 10.0])
def test_the_data_are_split_so_that_both_parts_last_one_epoch(ratio: float) -> None:
    assert Informed(ratio=ratio).choice_share == pytest.approx(1 / (1 + ratio))
    assert Informed(ratio=ratio, choice_share=0.5).choice_share == 0.5


def test_it_goes_on_where_it_was() -> None:
    whole, first, second = Informed(), Informed(), Informed()
    squares = noisy(300)
    orders = played(whole, squares)
    assert played(first, squares[:137]) == orders[:137]
    second.load_state_dict(first.state_dict())
    assert second.report() == first.report()
    assert played(second, squares[137:]) == orders[137:]
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ratio": 0.0}, "schedule.ratio is 0"),
        ({"smoothing": 0.0}, "schedule.smoothing is 0"),
        ({"smoothing": 1.5}, "schedule.smoothing is 1.5"),
        ({"start": -1.0}, "schedule.start is -1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Informed(**options)
