"""Beta decay: its value, its gradient, its growth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.engine.toys import next_update, toy_state

from archgrad.engine import BetaDecay
from archgrad.engine.penalties.beta_decay import beta_decay
from archgrad.errors import InputError


def test_the_gradient_is_the_softmax_of_the_living() -> None:
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    alive = torch.ones(4, 5, dtype=torch.bool)
    alive[1, 2:] = False
    alive[3] = False
    value = beta_decay(logits, alive)
    powers = np.exp(logits.detach().numpy()) * alive.numpy()
    np.testing.assert_allclose(value[:3].detach().numpy(), np.log(powers.sum(axis=1)[:3]), rtol=1e-12)
    assert float(value[3].detach()) == 0.0
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    expected = powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-300)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-12)


def test_the_strength_grows_from_zero() -> None:
    state = toy_state(nodes=2)
    values = []
    for step in (0, 2, 4):
        state.step = step  # of four
        view = next_update(state).problem.view()
        edges = torch.cat([beta_decay(table.logits, table.alive) for _, table in state.choices.items()])
        values.append(float(BetaDecay(strength=8.0)(view).detach() / edges.detach().mean()))
    assert values == pytest.approx([0.0, 4.0, 8.0])


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(InputError, match="at least 0"):
        BetaDecay(strength=-1.0)
