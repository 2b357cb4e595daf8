"""Schedules order the primitives of an update, and say how much of the data serves the choices."""

from __future__ import annotations

import pytest

from archgrad.engine.schedules.schedule import Always, Estimator, Every, Joint, Never, Schedule
from archgrad.errors import InputError


class Recorded:
    """Steps that are only written down."""

    def __init__(self, index: int, elapsed: float = 0.0) -> None:
        self.index, self.elapsed, self.done = index, elapsed, ""

    def choice_step(self) -> None:
        self.done += "c"

    def policy_step(self, baseline: float | None) -> float:
        self.done += f"p({baseline})"
        return 2.0

    def weight_gradients(self) -> None:
        self.done += "g"

    def weight_step(self) -> None:
        self.done += "w"

    def gradient_square(self) -> float:
        return 1.0

    def joint_gradients(self, estimator: Estimator) -> None:
        self.done += f"j({estimator})"

    def apply_to_choices(self) -> None:
        self.done += "a"


def played(schedule: Schedule, updates: int) -> list[str]:
    records = [Recorded(index, index / updates) for index in range(updates)]
    for record in records:
        schedule(record)
    return [record.done for record in records]


def test_always_is_a_choice_step_before_every_weight_step() -> None:
    assert played(Always(), 3) == ["cgw"] * 3
    assert Always().choice_share == 0.5
    assert Always(choice_share=0.25).choice_share == 0.25


def test_the_weights_can_begin_alone() -> None:
    assert played(Always(warmup=0.3), 10) == ["gw"] * 3 + ["cgw"] * 7
    with pytest.raises(InputError, match=r"schedule\.warmup is 1; it must be at least 0 and below 1"):
        Always(warmup=1.0)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_every_k_begins_with_a_choice_step(k: int) -> None:
    assert played(Every(k), 3 * k) == (["cgw"] + ["gw"] * (k - 1)) * 3


@pytest.mark.parametrize(("k", "share"), [(1, 1 / 2), (4, 1 / 5), (10, 1 / 11)])
def test_every_k_splits_the_data_so_that_both_parts_last_one_epoch(k: int, share: float) -> None:
    schedule = Every(k)
    assert schedule.choice_share == pytest.approx(share)
    examples = 1100
    assert examples * (1 - schedule.choice_share) / k == pytest.approx(examples * schedule.choice_share)
    assert Every(k, choice_share=0.3).choice_share == 0.3
    assert Every(k, choice_share=0.0).choice_share == 0.0


def test_never_leaves_the_choices_alone() -> None:
    assert played(Never(), 3) == ["gw"] * 3
    assert Never().choice_share == 0.0


def test_joint_is_one_backward_for_both() -> None:
    assert played(Joint(), 2) == ["j(pathwise)aw"] * 2
    assert played(Joint(estimator="credit"), 1) == ["j(credit)aw"]
    assert Joint().choice_share == 0.0


def test_resuming_at_an_index_goes_on_with_the_rhythm() -> None:
    late = Recorded(7)
    Every(7)(late)
    assert late.done == "cgw"
    off = Recorded(8)
    Every(7)(off)
    assert off.done == "gw"


def test_every_zero_is_refused() -> None:
    with pytest.raises(InputError, match="schedule.k is 0; it must be at least 1"):
        Every(0)
