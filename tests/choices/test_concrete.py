"""Concrete samples against closed forms, numerical integration and counting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.supernet.small import logits_of, small
from torch import Tensor

from archgrad.choices import ChoiceTable, Concrete, Progress
from archgrad.choices.concrete import concrete_log_density, concrete_sample, gumbel, linear_temperature
from archgrad.errors import InputError


def drawn(logits: Tensor, seed: int = 0) -> Tensor:
    rows, candidates = logits.shape
    return gumbel(rows, candidates, torch.Generator().manual_seed(seed)).to(logits)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.9935333333333334), (74, 0.515), (149, 0.03)])
def test_the_temperature_of_the_published_run(epoch: int, expected: float) -> None:
    assert Concrete().temperature(Progress(epoch=(epoch + 1) / 150)) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 400))
def test_the_temperature_falls_linearly_whatever_the_length(epochs: int) -> None:
    temperatures = [linear_temperature((e + 1) / epochs, 1.0, 0.03) for e in range(epochs)]
    assert temperatures[-1] == pytest.approx(0.03)
    steps = np.diff([1.0, *temperatures])
    np.testing.assert_allclose(steps, -0.97 / epochs, rtol=1e-9)


def test_gumbel_noise_has_gumbels_moments_and_is_finite() -> None:
    noise = gumbel(2000, 200, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(noise).all())
    count = noise.numel()
    assert float(noise.mean()) == pytest.approx(np.euler_gamma, abs=4 * math.pi / math.sqrt(6 * count))
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, rel=0.02)


@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.03])
def test_a_sample_is_what_the_formula_says(temperature: float) -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noise = drawn(logits)
    powers = np.exp((logits.numpy() + noise.numpy()) / temperature)
    sample = concrete_sample(logits, torch.ones(5, 4, dtype=torch.bool), noise, temperature)
    np.testing.assert_allclose(sample.numpy(), powers / powers.sum(axis=1, keepdims=True), rtol=1e-10)


def test_a_candidate_wins_as_often_as_its_expected_weight_says() -> None:
    table = ChoiceTable(torch.tensor([[1.0, 0.0, -1.0, 0.5]]))
    relaxation, generator = Concrete(), torch.Generator().manual_seed(0)
    draws = 20_000
    noise = gumbel(draws, 4, generator)
    wins = torch.bincount((table.logits.detach().double() + noise).argmax(dim=1), minlength=4) / draws
    expected = relaxation.expected(table, Progress(epoch=1.0)).weights[0].detach().double()
    assert float((wins - expected).abs().max()) < 4 * math.sqrt(0.25 / draws)
    end = Progress(epoch=1.0)  # cold samples are all but one-hot
    sharp = torch.stack([relaxation(table, end, relaxation.noise(table, generator)).weights[0] for _ in range(300)])
    assert float((sharp.max(dim=1).values > 0.99).double().mean()) > 0.85


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_log_density_integrates_to_one_over_two_candidates(temperature: float) -> None:
    logits = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    # z = 1 / (1 + exp(-u)) spreads the corners of the simplex out: dz = z (1 - z) du
    u = torch.linspace(-80, 80, 40_001, dtype=torch.float64)
    z = torch.sigmoid(u)
    samples = torch.stack([z, torch.sigmoid(-u)], dim=1)
    density = concrete_log_density(logits.expand(len(u), 2), samples, temperature, floor=1e-300).exp()
    total = torch.trapezoid(density * samples.prod(dim=1), u)
    assert float(total) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_the_log_density_integrates_to_one_over_three_candidates(temperature: float) -> None:
    logits = torch.tensor([[0.3, -0.4, 0.8]], dtype=torch.float64)
    axis = torch.linspace(-45, 45, 1201, dtype=torch.float64)
    a, b = torch.meshgrid(axis, axis, indexing="ij")
    samples = torch.softmax(torch.stack([a.flatten(), b.flatten(), torch.zeros(a.numel()).double()], dim=1), dim=1)
    density = concrete_log_density(logits.expand(len(samples), 3), samples, temperature, floor=1e-300).exp()
    volume = samples.prod(dim=1)  # |d(z1, z2) / d(a, b)| of the additive logistic transformation
    total = float((density * volume).sum()) * float(axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1.0, abs=1e-6)


def test_the_log_density_counts_only_the_living() -> None:
    logits = torch.tensor([[0.3, 9.0, -0.4]], dtype=torch.float64)
    alive = torch.tensor([[True, False, True]])
    sample = torch.tensor([[0.2, 0.0, 0.8]], dtype=torch.float64)
    among = concrete_log_density(logits, sample, 0.5, alive)
    assert float(among) == pytest.approx(float(concrete_log_density(logits[:, [0, 2]], sample[:, [0, 2]], 0.5)))
    nobody = concrete_log_density(logits.requires_grad_(), sample, 0.5, torch.zeros_like(alive))
    assert float(nobody.detach()) == 0.0
    (gradient,) = torch.autograd.grad(nobody.sum(), logits)
    assert not bool(gradient.any())


def test_hard_samples_are_one_hot_with_the_soft_gradient() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
    noise, progress = drawn(logits.detach()), Progress(epoch=0.5)
    factor = torch.randn(6, 5, generator=torch.Generator().manual_seed(3))
    hard, soft = (Concrete(hard=hard)(logits, progress, noise) for hard in (True, False))
    assert torch.equal(hard.weights.detach(), torch.eye(5)[soft.weights.argmax(dim=1)])
    assert hard.support == soft.support == ((True,) * 5,) * 6
    one, other = (torch.autograd.grad((factor * mixing.weights).sum(), logits)[0] for mixing in (hard, soft))
    torch.testing.assert_close(one, other)


def test_the_density_of_a_hard_sample_is_the_chance_of_its_candidate() -> None:
    table = ChoiceTable(torch.tensor([[0.2, -0.3, 1.0], [0.0, 0.5, 0.5]]))
    relaxation, progress = Concrete(hard=True), Progress(epoch=0.5)
    sample = relaxation(table, progress, relaxation.noise(table, torch.Generator().manual_seed(0))).weights.detach()
    chances = torch.softmax(table.logits, dim=1)
    expected = chances[torch.arange(2), sample.argmax(dim=1)].log()
    torch.testing.assert_close(relaxation.log_density(table, sample, progress), expected)


def test_tables_start_around_the_published_value() -> None:
    logits = Concrete().initial(1000, 8, torch.Generator().manual_seed(0))
    assert float(logits.mean()) == pytest.approx(1.0, abs=1e-3)
    assert float(logits.std()) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("option", ["start", "end", "floor"])
def test_what_must_be_positive_is_refused_by_name(option: str) -> None:
    with pytest.raises(InputError, match=f"relaxation.{option} is 0.0; it must be above 0"):
        Concrete(**{option: 0.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [10.0, 0.7])
def test_a_drawn_candidate_runs_alone_and_has_gdas_gradient(temperature: float) -> None:
    logits = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    noise, earned = drawn(logits.detach(), 1), torch.randn(6, generator=torch.Generator().manual_seed(3)).double()
    mixing = Concrete(start=temperature, end=temperature, hard=True, sampled=True)(logits, Progress(), noise)
    powers = np.exp((logits.detach().numpy() + noise.numpy()) / temperature)
    soft = powers / powers.sum(axis=1, keepdims=True)
    best = soft.argmax(axis=1)
    np.testing.assert_array_equal(mixing.weights.detach().numpy(), np.eye(5)[best])
    assert mixing.support == tuple(tuple(k == drawn for k in range(5)) for drawn in best.tolist())
    # a cell reads the weight of what ran: dL/dA_k = dL/dh_b h_b (delta_bk - h_k) / tau
    (found,) = torch.autograd.grad((earned * mixing.weights[range(6), best]).sum(), logits)
    chosen = soft[range(6), best][:, None]
    expected = earned.numpy()[:, None] * chosen * (np.eye(5)[best] - soft) / temperature
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-15)


def test_drawn_candidates_alone_give_what_full_support_gives() -> None:
    network = small(nodes=2).double().eval()
    logits, noise = logits_of(network), torch.Generator().manual_seed(4)
    draws = {kind: gumbel(table.shape[0], table.shape[1], noise) for kind, table in logits.items()}
    x = torch.rand(3, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    alone, full = (
        network(x, {k: Concrete(hard=True, sampled=s)(logits[k], Progress(epoch=0.5), draws[k]) for k in logits})
        for s in (True, False)
    )
    torch.testing.assert_close(alone, full, rtol=1e-12, atol=1e-12)


def test_two_edges_a_node_are_drawn_with_their_candidates() -> None:
    groups = (2, 2, 3, 3, 3, 4, 4, 4, 4)
    table = ChoiceTable(torch.zeros(9, 3), groups)
    table.alive[6] = False
    relaxation, generator = Concrete(hard=True, sampled=True, inputs=2), torch.Generator().manual_seed(0)
    edges, candidates = torch.zeros(9), torch.zeros(3)
    for _ in range(600):
        mixing = relaxation(table, Progress(epoch=0.5), relaxation.noise(table, generator))
        support = torch.tensor(mixing.support)
        assert torch.equal(mixing.weights.detach(), support.float())
        assert [int(support[rows].sum()) for rows in (slice(0, 2), slice(2, 5), slice(5, 9))] == [2, 2, 2]
        edges += support.sum(dim=1)
        candidates += support.sum(dim=0)
    assert bool((edges[2:5] / 600 - 2 / 3).abs().max() < 0.08)
    assert edges[6] == 0 and bool((edges[[5, 7, 8]] / 600 - 2 / 3).abs().max() < 0.08)
    assert bool((candidates / 3600 - 1 / 3).abs().max() < 0.04)
    whole = Concrete(hard=True, inputs=2)(table, Progress(epoch=0.5), torch.zeros(9, 3))
    assert [sum(row) for row in whole.support] == [3, 3, 3, 3, 0, 3, 0, 3, 0]


@pytest.mark.parametrize("option", [{"sampled": True}, {"inputs": 2}])
def test_soft_samples_cannot_run_alone(option: Any) -> None:
    with pytest.raises(InputError, match=r"add relaxation\.hard=true"):
        Concrete(**option)
