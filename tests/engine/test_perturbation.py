"""A perturbed mixture: what a row becomes, and which loss of a search sees it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.toys import next_update, toy_state
from torch import Tensor

from archgrad.choices import Mixing, Progress, Softmax
from archgrad.engine.perturbation import RandomPerturbation, perturbed_weights, radius
from archgrad.engine.state import SearchState
from archgrad.errors import InputError


def test_the_radius_grows_linearly() -> None:
    assert [radius(0.03, 0.3, t) for t in (0.0, 0.5, 1.0)] == pytest.approx([0.03, 0.165, 0.3])


@given(st.integers(0, 1000), st.floats(0.0, 3.0))
def test_rows_keep_their_total_and_their_support(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    runs = torch.rand(6, 4, generator=generator) < 0.8
    weights = torch.rand(6, 4, dtype=torch.float64, generator=generator) * runs
    delta = size * (2 * torch.rand(6, 4, dtype=torch.float64, generator=generator) - 1)
    found = perturbed_weights(weights, delta, runs)
    assert bool((found >= 0).all())
    assert not bool(found[~runs].any())
    torch.testing.assert_close(found.sum(dim=1), weights.sum(dim=1))
    if size == 0.0:
        torch.testing.assert_close(found, weights)


def test_a_small_perturbation_moves_a_softmax_by_delta_but_for_the_total() -> None:
    weights = torch.tensor([[0.2, 0.5, 0.3]])
    delta = torch.tensor([[0.1, -0.1, 0.05]])
    expected = torch.tensor([[0.3, 0.4, 0.35]]) / 1.05
    torch.testing.assert_close(perturbed_weights(weights, delta, torch.ones(1, 3, dtype=torch.bool)), expected)


def a_state(**given: Any) -> SearchState:
    return toy_state(linear=True, relaxation=Softmax(deviation=0.5), **given)


def test_the_weights_loss_sees_it_and_the_choices_loss_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    state = a_state(perturbation=RandomPerturbation(start=0.2, end=0.2))
    problem = next_update(state).problem
    plain = problem.view().mixings[0]["normal"].weights.detach()
    seen: list[Tensor] = []
    original = type(state.supernet).forward

    def watched(self: Any, x: Tensor, mixings: Any) -> Tensor:
        mixing: Mixing = (mixings if isinstance(mixings, dict) else mixings[0])["normal"]
        seen.append(mixing.weights.detach().clone())
        out: Tensor = original(self, x, mixings)
        return out

    monkeypatch.setattr(type(state.supernet), "forward", watched)
    problem.gradient("validation", problem.choices)
    for _ in range(2):
        problem.gradient("train", list(problem.weights.values()))
    assert torch.equal(seen[0], plain)
    assert not torch.equal(seen[1], plain)
    assert torch.equal(seen[1], seen[2])  # the same in every forward of an update
    noise = problem.shaken[0]["normal"]
    expected = RandomPerturbation(start=0.2, end=0.2)(problem.view().mixings[0]["normal"], Progress(), noise)
    torch.testing.assert_close(seen[1], expected.weights.detach())


def test_a_radius_of_nothing_changes_nothing() -> None:
    states = [a_state(), a_state(perturbation=RandomPerturbation(start=0.0, end=0.0))]
    first, second = (next_update(state).problem for state in states)
    one, two = (problem.gradient("train", list(problem.weights.values())) for problem in (first, second))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b)


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(InputError, match=r"perturbation\.end is -1; it must be at least 0"):
        RandomPerturbation(end=-1.0)
