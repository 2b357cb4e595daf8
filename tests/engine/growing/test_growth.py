"""When a cell grows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad import space
from archgrad.engine.growing.growth import Growth, on_plateau, planned_epochs
from archgrad.errors import InputError


def test_growths_are_dealt_out_evenly_and_leave_the_last_quarter_to_the_full_cell() -> None:
    assert planned_epochs(3, 50, 0.75, None) == [13, 25, 38]
    assert planned_epochs(6, 50, 0.75, None)[-1] == 38
    assert planned_epochs(3, 50, 0.75, 5) == [5, 10, 15]
    assert [epoch for epoch in range(6) if Growth().due(2, 3, epoch, 6, [])] == [4]  # a short search keeps one epoch


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=12), st.integers(1, 4))
def test_a_plateau_is_no_better_loss_for_so_long(losses: list[float], patience: int) -> None:
    best = min(losses[:-patience]) if len(losses) > patience else 0.0
    still = len(losses) > patience and all(loss > 0.9 * best for loss in losses[-patience:])
    assert on_plateau(losses, patience, 0.1) is still


def test_nothing_grows_so_late_that_no_epoch_is_left() -> None:
    growth = Growth(start=1, limit=4, ramp=2)
    times = [epoch for epoch in range(12) if growth.due(0, 3, epoch, 12, [])]
    assert times == list(range(3, 10))
    plateau = Growth(start=1, limit=4, trigger="plateau", patience=2)
    assert plateau.due(0, 3, 6, 12, [1.0, 1.0, 1.0])
    assert not plateau.due(0, 3, 6, 12, [1.0, 1.0, 0.9])
    assert not plateau.due(0, 3, 10, 12, [1.0, 1.0, 1.0])  # behind until
    assert not plateau.due(3, 3, 6, 12, [1.0, 1.0, 1.0])  # full size


def test_the_limit_is_the_space_s_own_size_unless_it_is_set() -> None:
    assert Growth(start=1).count(space.get("darts")) == 3
    assert Growth(start=2).count(space.get("darts-rnn")) == 6
    assert Growth(start=2, limit=3).count(space.get("darts-rnn")) == 1
    with pytest.raises(InputError, match="nothing to grow"):
        Growth(start=5).count(space.get("darts"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trigger": "sometimes"}, "sometimes"),
        ({"mode": "prune"}, "grow-and-prune"),
        ({"start": 0}, "growth.start is 0"),
        ({"start": 3, "limit": 2}, "less than growth.start"),
        ({"until": 0.0}, "growth.until"),
        ({"ramp": 0.0}, "growth.ramp"),
        ({"steps": ()}, "growth.steps is empty"),
        ({"steps": ("nodes",)}, "Did you mean 'node'"),
        ({"improvement": 1.0}, "growth.improvement"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Growth(**options)
