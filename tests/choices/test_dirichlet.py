"""Dirichlet draws against the distribution's closed forms: moments, their derivatives, the density."""

from __future__ import annotations

import pytest
import torch

from archgrad.choices import ChoiceTable, Dirichlet, Progress
from archgrad.choices.dirichlet import concentration, dirichlet_log_density, dirichlet_sample

NOW = Progress()


def test_the_concentration_is_one_at_zero_and_positive() -> None:
    logits = torch.linspace(-8, 8, 101, dtype=torch.float64, requires_grad=True)
    found, expected = concentration(logits), torch.nn.functional.elu(logits) + 1
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0.0)
    one, other = (torch.autograd.grad(y.sum(), logits)[0] for y in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=0.0)
    assert float(concentration(torch.tensor(-30.0))) > 0


def test_draws_have_the_moments_and_their_derivatives() -> None:
    beta = torch.tensor([0.4, 1.0, 2.5], dtype=torch.float64, requires_grad=True)
    draws = 40_000
    theta = dirichlet_sample(beta.expand(draws, 3), torch.ones(draws, 3, dtype=torch.bool), 0)
    total = beta.sum()
    mean = beta / total
    second = beta * (beta + 1) / (total * (total + 1))
    torch.testing.assert_close(theta.sum(dim=1), torch.ones(draws, dtype=torch.float64))
    torch.testing.assert_close(theta.mean(dim=0), mean, rtol=0.02, atol=0.0)
    torch.testing.assert_close((theta**2).mean(dim=0), second, rtol=0.04, atol=0.0)
    for k in range(3):
        (pathwise,) = torch.autograd.grad((theta[:, k] ** 2).mean(), beta, retain_graph=True)
        (exact,) = torch.autograd.grad(second[k], beta, retain_graph=True)
        torch.testing.assert_close(pathwise, exact, rtol=0.06, atol=3e-3)


def test_the_dead_get_nothing_and_the_living_are_dirichlet_among_themselves() -> None:
    table = ChoiceTable(torch.zeros(20_000, 3))
    table.alive[:, 1] = False
    table.alive[0] = False
    theta = Dirichlet()(table, NOW, torch.tensor(3)).weights.detach()
    assert not bool(theta[:, 1].any())
    assert not bool(theta[0].any())
    assert float(theta[1:, 0].mean()) == pytest.approx(0.5, abs=0.01)
    assert float(theta[1:, 0].var()) == pytest.approx(1 / 12, rel=0.03)  # Dirichlet(1, 1) is uniform
    assert bool((theta[1:].sum(dim=1) - 1).abs().max() < 1e-5)


def test_small_concentrations_stay_finite_with_a_finite_gradient() -> None:
    logits = torch.full((50, 5), -12.0, requires_grad=True)
    for seed in range(5):
        theta = Dirichlet()(logits, NOW, torch.tensor(seed)).weights
        (gradient,) = torch.autograd.grad((theta**2).sum(), logits)
        assert bool(torch.isfinite(theta).all())
        assert bool(torch.isfinite(gradient).all())


def test_decisions_read_the_mean() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    beta = torch.tensor([[2.0, 1.0, torch.e**-1]], dtype=torch.float64)
    torch.testing.assert_close(Dirichlet().expected(logits, NOW).weights, beta / beta.sum())
    torch.testing.assert_close(Dirichlet()(logits, NOW).weights, beta / beta.sum())


def test_the_density_is_torch_s_own() -> None:
    generator = torch.Generator().manual_seed(0)
    beta = 0.2 + 3 * torch.rand(6, 4, dtype=torch.float64, generator=generator)
    theta = torch.softmax(torch.randn(6, 4, dtype=torch.float64, generator=generator), dim=1)
    expected = torch.distributions.Dirichlet(beta).log_prob(theta)
    torch.testing.assert_close(dirichlet_log_density(beta, theta, torch.ones(6, 4, dtype=torch.bool)), expected)
    alive = torch.tensor([True, False, True, True]).expand(6, 4)
    among = theta[:, [0, 2, 3]] / theta[:, [0, 2, 3]].sum(dim=1, keepdim=True)
    rest = torch.zeros(6, 4, dtype=torch.float64)
    rest[:, [0, 2, 3]] = among
    expected = torch.distributions.Dirichlet(beta[:, [0, 2, 3]]).log_prob(among)
    torch.testing.assert_close(dirichlet_log_density(beta, rest, alive), expected)
