"""The anchor against numbers by hand, in a search."""

from __future__ import annotations

import pytest
import torch
from tests.engine.toys import next_update, toy_state

from archgrad.choices import Dirichlet, Softmax
from archgrad.engine import Anchor
from archgrad.engine.penalties.anchor import anchor_distance
from archgrad.errors import InputError


def test_the_distance_is_half_the_squares_of_the_living() -> None:
    beta = torch.tensor([[1.0, 3.0], [0.5, 9.0]])
    alive = torch.tensor([[True, True], [True, False]])
    assert float(anchor_distance(beta, alive)) == pytest.approx(0.5 * (4.0 + 0.25))


def test_it_reaches_the_choices_of_a_dirichlet_relaxation_alone() -> None:
    state = toy_state(relaxation=Dirichlet(deviation=0.5), penalties={"it": Anchor(strength=2.0)})
    view = next_update(state).problem.view()
    tables = [table.logits for _, table in state.choices.items()]
    expected = [
        2.0 * (torch.where(t > 0, t + 1, t.exp()) - 1) * torch.where(t > 0, torch.ones_like(t), t.exp()) for t in tables
    ]
    for found, by_hand in zip(torch.autograd.grad(Anchor(strength=2.0)(view), tables), expected, strict=True):
        torch.testing.assert_close(found, by_hand)
    other = toy_state(relaxation=Softmax(deviation=0.5))
    assert float(Anchor()(next_update(other).problem.view())) == 0.0


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(InputError, match="at least 0"):
        Anchor(strength=-1.0)
