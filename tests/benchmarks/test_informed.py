"""What the benchmark reads off a log is what the schedule did."""

from __future__ import annotations

import pytest
from benchmarks.informed import measured
from tests.engine.schedules.test_informed import noisy, played

from archgrad.engine.schedules.informed import Informed
from archgrad.errors import InputError


def test_a_schedule_that_was_played_is_measured() -> None:
    schedule, steps = Informed(ratio=3), []
    for number, square in enumerate(noisy(4000), start=1):
        played(schedule, [square])
        steps.append({"step": number, "schedule": schedule.report()})
    found = measured(steps, 3.0, 1.0)
    assert found["steps"] == 4000
    assert found["ratio of the last half"] == pytest.approx(3.0, rel=0.05)
    assert found["ratio"] == schedule.skipped / schedule.taken
    assert found["error of the balance"] < 1e-8
    assert found["squared gradient, taken / all"] < 1
    assert found["the same, last half"] < 1


@pytest.mark.parametrize("steps", [[], [{"step": 1}], [{"step": 10, "schedule": Informed().report()}]])
def test_a_log_with_gaps_is_refused(steps: list[dict[str, object]]) -> None:
    with pytest.raises(InputError, match="log_every=1"):
        measured(steps, 3.0, 1.0)
