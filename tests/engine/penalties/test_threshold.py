"""The pressure on thresholds against its closed form, and that it does push them up."""

from __future__ import annotations

import math

import pytest
import torch
from tests.engine.toys import next_update, toy_state

from archgrad.choices import Softmax, Sparse
from archgrad.choices.sparse import BETA
from archgrad.engine.penalties.threshold import ThresholdPressure, threshold_pressure
from archgrad.engine.update import Streams, update
from archgrad.errors import InputError


def test_the_term_is_the_mean_of_minus_log_t() -> None:
    beta = torch.tensor([-3.0, 0.0, 2.0, 40.0], dtype=torch.float64, requires_grad=True)
    term = threshold_pressure(beta)
    t = [1 / (1 + math.exp(-float(b))) for b in beta.detach()]
    assert float(term.detach()) == pytest.approx(-sum(map(math.log, t)) / 4, rel=1e-12)
    (gradient,) = torch.autograd.grad(term, beta)
    torch.testing.assert_close(gradient, torch.tensor([(value - 1) / 4 for value in t], dtype=torch.float64))


def test_it_is_the_mean_over_all_tables_times_the_strength_and_acts_on_the_choices() -> None:
    state = toy_state(cells=3, nodes=2, relaxation=Sparse(threshold=0.25))
    problem = next_update(state).problem
    penalty = ThresholdPressure(strength=0.5)
    assert penalty.on == "choices"
    assert float(penalty(problem.view()).detach()) == pytest.approx(-0.5 * math.log(0.25))


def test_a_strong_pressure_raises_every_threshold() -> None:
    state = toy_state(nodes=2, relaxation=Sparse(), penalties={"p": ThresholdPressure(strength=1e4)})
    streams = Streams(state)
    for _ in range(2):
        update(state, streams)
    for _, table in state.choices.items():
        assert bool((table.extras[BETA] > 0).all())


def test_without_thresholds_it_is_nothing() -> None:
    problem = next_update(toy_state(relaxation=Softmax())).problem
    assert float(ThresholdPressure()(problem.view())) == 0


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(InputError, match="must be at least 0"):
        ThresholdPressure(strength=-1.0)
