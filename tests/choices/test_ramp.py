"""A table that grows shows what it showed before, and has clocks of its own for what came later."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from archgrad.choices import ChoiceTable, Clipped, Concrete, Mixing, Progress, Softmax, Sparse
from archgrad.choices.ramp import expected_of, mixing_of, ramped, risen
from archgrad.choices.temperature import exponential, own_clock, temperature_of

NOW = Progress(0.4, 0.4)


def grown(relaxation: Any) -> tuple[ChoiceTable, ChoiceTable]:
    """Return a table of two groups, and the same one with a candidate more in every row and a row more in a group."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    small = ChoiceTable(logits, (0, 1, 1), relaxation.extras((0, 1, 1), 2)).double()
    more = torch.rand(4, 3, generator=generator, dtype=torch.float64)
    more[:3, :2] = logits
    large = ChoiceTable(more, (0, 1, 1, 1), relaxation.extras((0, 1, 1, 1), 3)).double()
    large.elder = torch.zeros(4, 3, dtype=torch.bool)
    large.elder[:3, :2] = True
    large.young = torch.ones(4, dtype=torch.bool)
    large.gate = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    return small, large


@pytest.mark.parametrize("relaxation", [Softmax(), Clipped(), Concrete(), Sparse(start=1.0, end=1.0, threshold=0.7)])
def test_at_first_it_shows_what_it_showed_and_the_gate_has_a_gradient(relaxation: Any) -> None:
    small, large = grown(relaxation)
    was, mixing = relaxation(small, NOW), mixing_of(relaxation, large, NOW)
    assert torch.equal(mixing.weights[:3, :2], was.weights)
    assert not bool(mixing.weights[3].any())
    assert not bool(mixing.weights[:, 2].any())
    assert mixing.support[3][2] or isinstance(relaxation, Sparse)  # it runs, or it could never begin
    scale = torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert large.gate is not None
    (gradient,) = torch.autograd.grad((scale * mixing.weights).sum(), large.gate)
    now = relaxation(large, NOW).weights
    assert float(gradient) == pytest.approx(float((scale * (now - mixing.weights)).sum().detach()))
    decisions = expected_of(relaxation, large, NOW)
    assert torch.equal(decisions.weights[:3, :2], relaxation.expected(small, NOW).weights)
    assert not any(any(row[2:]) for row in decisions.support)


def test_half_way_it_is_the_mean_of_both_the_auxiliary_too() -> None:
    one = Mixing(torch.tensor([[1.0, 0.0]]), ((True, False),), torch.tensor([2.0]))
    other = Mixing(torch.tensor([[0.0, 1.0]]), ((False, True),), torch.tensor([4.0]))
    half = ramped(one, other, torch.tensor(0.5))
    assert half.weights.tolist() == [[0.5, 0.5]]
    assert half.support == ((True, True),)
    assert half.auxiliary is not None
    assert half.auxiliary.tolist() == [3.0]


def test_gates_stay_between_their_floor_and_one() -> None:
    gates = {name: torch.tensor(value) for name, value in (("low", -0.2), ("mid", 0.6), ("high", 1.2))}
    risen(gates, 0.5)
    assert [float(gate) for gate in gates.values()] == pytest.approx([0.5, 0.6, 1.0])


def test_rows_that_came_later_have_a_clock_of_their_own() -> None:
    assert own_clock(0.4, 0.4) == 0.0
    assert own_clock(1.0, 0.4) == 1.0
    table = ChoiceTable(torch.zeros(2, 3))
    schedule = partial(exponential, 5.0, 0.1)
    assert temperature_of(table, 0.5, schedule) == schedule(0.5)
    table.born = torch.tensor([0.0, 0.5])
    both = temperature_of(table, 0.5, schedule)
    assert isinstance(both, torch.Tensor)
    assert both.flatten().tolist() == pytest.approx([schedule(0.5), 5.0])
    relaxation = Concrete()
    noise = relaxation.noise(table, torch.Generator().manual_seed(0))
    sample = relaxation(table, Progress(0.5, 0.5), noise).weights
    one = ChoiceTable(torch.zeros(2, 3))
    assert torch.equal(sample[0], relaxation(one, Progress(0.5, 0.5), noise).weights[0])
    assert torch.equal(sample[1], relaxation(one, Progress(0.0, 0.0), noise).weights[1])
    density = relaxation.log_density(table, sample.detach(), Progress(0.5, 0.5)).detach()
    start = relaxation.log_density(one, sample.detach(), Progress(0.0, 0.0)).detach()
    assert float(density[1]) == pytest.approx(float(start[1]))


def test_a_table_that_grew_goes_through_a_state_dict() -> None:
    _, large = grown(Softmax())
    large.born = torch.tensor([0.0, 0.0, 0.0, 0.5])
    other = ChoiceTable(torch.zeros(4, 3, dtype=torch.float64), large.groups)
    other.load_state_dict(large.state_dict())
    assert other.state_dict().keys() == large.state_dict().keys()
    assert other.gate is not None
    plain = ChoiceTable(torch.zeros(4, 3, dtype=torch.float64))
    other.load_state_dict(plain.state_dict())
    assert all(each is None for each in (other.gate, other.elder, other.young, other.born))
