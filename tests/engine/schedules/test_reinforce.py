"""The policy gradient against its closed form, the baseline, and a policy that learns."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.engine.toys import next_update, toy_state

from archgrad.choices import Concrete, Progress, Softmax
from archgrad.engine.problem import SearchProblem
from archgrad.engine.schedules.reinforce import Reinforce, moved_baseline
from archgrad.engine.update import Streams, update
from archgrad.errors import InputError

HARD = Concrete(start=1.0, end=1.0, hard=True, sampled=True, mean=0.0, deviation=0.5)


def test_the_baseline_is_a_moving_average() -> None:
    assert moved_baseline(None, 3.0, 0.9) == 3.0
    assert moved_baseline(2.0, 3.0, 0.75) == pytest.approx(2.25)


@pytest.mark.parametrize("baseline", [0.4, None])
def test_the_policy_gradient_is_the_advantage_times_the_score(baseline: float | None) -> None:
    state = toy_state(linear=True, relaxation=HARD)
    problem = next_update(state).problem
    found, cost = problem.policy_gradient(baseline)
    table = state.choices.tables["normal"]
    noise = problem.noise[0]["normal"]
    assert noise is not None
    logits = table.logits.detach()  # type: ignore[operator]
    drawn = HARD(logits, Progress(), noise).weights
    x, y = problem.batches["validation"]
    mixing = HARD(logits, Progress(), noise)
    expected_cost = float(state.parts.task.loss(state.supernet(x, {"normal": mixing}), y).detach())
    assert cost == pytest.approx(expected_cost, rel=1e-5)
    advantage = expected_cost - (expected_cost if baseline is None else baseline)
    torch.testing.assert_close(found[0], advantage * (drawn - torch.softmax(logits, dim=1)), rtol=1e-4, atol=1e-6)


def test_it_is_the_gradient_of_the_expected_loss_in_the_mean() -> None:
    state = toy_state(linear=True, relaxation=HARD)
    batch = next_update(state).problem.batches["validation"]
    table = state.choices.tables["normal"]
    logits = table.logits.detach().clone().requires_grad_()  # type: ignore[operator]
    losses = []
    for k in range(2):
        mixing = HARD(torch.eye(2)[k : k + 1] * 100, Progress())
        losses.append(float(state.parts.task.loss(state.supernet(batch[0], {"normal": mixing}), batch[1]).detach()))
    expected_loss = (torch.softmax(logits, dim=1) * torch.tensor(losses)).sum()
    (exact,) = torch.autograd.grad(expected_loss, logits)
    found = []
    for _ in range(144):
        problem = SearchProblem(state, {"train": batch, "validation": batch})
        found.append(problem.policy_gradient(sum(losses) / 2)[0][0])
    mean, error = torch.stack(found).mean(dim=0), torch.stack(found).std(dim=0) / 12
    assert bool(((mean - exact).abs() <= 4 * error + 1e-7).all())


def test_a_step_moves_choices_weights_and_baseline_and_can_be_resumed() -> None:
    state = toy_state(linear=True, relaxation=HARD, schedule=Reinforce())
    before = copy.deepcopy(dict(state.choices.state_dict()))
    streams = Streams(state)
    done = update(state, streams)
    assert done.report()["schedule"]["baseline"] == pytest.approx(done.report()["choice_loss"])
    update(state, streams)
    assert not torch.equal(state.choices.state_dict()["tables.normal.logits"], before["tables.normal.logits"])
    again = Reinforce()
    again.load_state_dict(state.parts.schedule.state_dict())
    assert again.report() == state.parts.schedule.report()


def test_what_has_no_samples_has_no_policy() -> None:
    state = toy_state(linear=True, relaxation=Softmax(), schedule=Reinforce())
    with pytest.raises(InputError, match="draws no samples"):
        update(state, Streams(state))
    with pytest.raises(InputError, match=r"schedule\.decay is 1; it must be at least 0 and below 1"):
        Reinforce(decay=1.0)
