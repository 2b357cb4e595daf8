"""The relaxation of DARTS against exp/sum written out, its gradient against the closed form."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from archgrad.choices import ChoiceTable, Progress, Softmax

seeds = st.integers(0, 2**31)


def logits_of(seed: int, rows: int = 4, candidates: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, candidates, generator=generator, dtype=torch.float64)


def by_hand(logits: Tensor, alive: Tensor) -> Tensor:
    """Return exp(alpha_k) / sum_l exp(alpha_l) over the living candidates, number by number."""
    out = torch.zeros_like(logits)
    for row in range(logits.shape[0]):
        powers = [float(a.exp()) if living else 0.0 for a, living in zip(logits[row], alive[row], strict=True)]
        for candidate, power in enumerate(powers):
            out[row, candidate] = power / sum(powers) if power else 0.0
    return out


@given(seeds)
def test_weights_are_the_softmax_over_each_edge(seed: int) -> None:
    logits = logits_of(seed)
    mixing = Softmax()(ChoiceTable(logits), Progress())
    torch.testing.assert_close(mixing.weights, by_hand(logits, torch.ones_like(logits) > 0), rtol=1e-12, atol=0)
    assert mixing.support == ((True,) * 5,) * 4


@given(seeds)
def test_the_dead_get_nothing_and_the_living_share_all(seed: int) -> None:
    logits = logits_of(seed)
    alive = torch.rand(4, 5, generator=torch.Generator().manual_seed(seed)) < 0.6
    alive[0] = False  # a whole row may be dead
    table = ChoiceTable(logits)
    table.alive.copy_(alive)
    mixing = Softmax()(table, Progress())
    torch.testing.assert_close(mixing.weights, by_hand(logits, alive), rtol=1e-12, atol=0)
    assert mixing.support == tuple(map(tuple, alive.tolist()))

    coefficients = logits_of(seed + 1)
    (gradient,) = torch.autograd.grad((coefficients * mixing.weights).sum(), table.logits)
    w = mixing.weights.detach()
    expected = w * (coefficients - (coefficients * w).sum(1, keepdim=True))  # d softmax = diag(w) - w w'
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def test_bare_logits_are_accepted_and_get_the_gradient() -> None:
    logits = logits_of(0).requires_grad_()
    softmax, progress = Softmax(), Progress()
    bare = softmax(logits, progress).weights
    assert torch.equal(bare, softmax(ChoiceTable(logits.detach()), progress).weights)
    (gradient,) = torch.autograd.grad(bare[0, 0], logits)
    assert float(gradient.abs().sum()) > 0
    computed = 2 * logits  # a tensor that is itself the result of something
    (through,) = torch.autograd.grad(softmax(computed, progress).weights[0, 0], logits)
    assert float(through.abs().sum()) > 0


def test_the_expected_mixing_is_the_mixing_itself_and_nothing_is_random() -> None:
    table = ChoiceTable(logits_of(0))
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert Softmax().noise(table, generator) is None
    assert torch.equal(generator.get_state(), before)
    first, second = Softmax().expected(table, Progress(0.1, 0.2)), Softmax()(table, Progress(0.9, 1.0))
    assert torch.equal(first.weights, second.weights)


def test_initial_logits_are_normal_around_zero_and_follow_the_generator() -> None:
    drawn = Softmax(deviation=1e-3).initial(100, 100, torch.Generator().manual_seed(3))
    assert drawn.shape == (100, 100)
    assert abs(float(drawn.mean())) < 5e-5  # 5 standard errors
    assert abs(float(drawn.std()) - 1e-3) < 5e-5
    assert torch.equal(drawn, Softmax().initial(100, 100, torch.Generator().manual_seed(3)))
    assert not torch.equal(drawn, Softmax().initial(100, 100, torch.Generator().manual_seed(4)))
    assert float(Softmax(deviation=1.0).initial(100, 100, torch.Generator()).std()) > 0.9


@given(seeds)
def test_a_temperature_divides_the_logits(seed: int) -> None:
    logits, softmax = logits_of(seed), Softmax(start=5.0, end=0.2)
    for epoch, temperature in ((0.0, 5.0), (0.5, 1.0), (1.0, 0.2)):
        weights = softmax(logits, Progress(epoch=epoch)).weights
        torch.testing.assert_close(weights, by_hand(logits / temperature, logits == logits), rtol=1e-9, atol=1e-300)
    assert torch.equal(Softmax()(logits, Progress(epoch=0.3)).weights, torch.softmax(logits, dim=1))
