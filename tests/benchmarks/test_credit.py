"""The toy cell of the credit benchmark: the planted cell is the best, and the pathwise estimator finds it."""

from __future__ import annotations

import pytest
import torch
from benchmarks.credit import Toy, find, variance

from archgrad.choices import Progress


def test_the_planted_cell_has_no_loss() -> None:
    toy = Toy(seed=0)
    planted = torch.nn.functional.one_hot(toy.planted, 8).double()
    x = torch.randn(4, 8, dtype=torch.float64, generator=toy.generator)
    by_hand = x @ toy.maps[0, toy.planted[0]].T
    by_hand = by_hand + x @ toy.maps[1, toy.planted[1]].T + by_hand @ toy.maps[2, toy.planted[2]].T
    torch.testing.assert_close(toy.output(planted, x), by_hand)


def test_the_pathwise_estimator_has_less_variance_than_the_score_functions() -> None:
    spread = {name: variance(name, 0, 60)[1] for name in ("pathwise", "credit", "score_function")}
    assert spread["pathwise"] < spread["credit"] < spread["score_function"]


def test_the_planted_candidates_are_found() -> None:
    count = find("pathwise", seed=1, updates=300, rate=0.05)
    assert count is not None
    assert count < 200


@pytest.mark.parametrize("estimator", ["credit", "score_function_baseline"])
def test_estimators_give_a_gradient_of_every_choice(estimator: str) -> None:
    gradient = Toy(seed=0).gradient(estimator, Progress(0.5, 0.5))
    assert gradient.shape == (3, 8)
    assert bool(torch.isfinite(gradient).all())
