"""The largest eigenvalue against whole Hessians, and when it ends a search."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.engine.test_state import same
from tests.engine.toys import ToyData, toy_state
from torch import Tensor
from torch.func import functional_call

from archgrad.choices import Progress, Softmax
from archgrad.engine.curvature import choice_curvature, choice_hessian, largest_eigenvalue, smoothed, stopping_epoch
from archgrad.engine.derivations.selection import held_out
from archgrad.supernet.image import frozen_statistics


@pytest.mark.parametrize("shift", [-4.0, -1.0, 0.0, 3.0])
def test_power_iteration_finds_the_largest_eigenvalue(shift: float) -> None:
    a = torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = (a + a.t()) / 2 + shift * torch.eye(12)
    start = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = largest_eigenvalue(lambda v: matrix @ v, start, iterations=2000, tolerance=1e-12)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-4)
    assert largest_eigenvalue(torch.zeros_like, start) == 0.0


@pytest.mark.parametrize("evaluation", ["fast", "reference"])
def test_the_curvature_of_a_supernet_is_that_of_its_whole_hessian(evaluation: str) -> None:
    data = ToyData(dtype=torch.float64)
    state = toy_state(nodes=1, dtype=torch.float64, evaluation=evaluation, data=data, relaxation=Softmax(deviation=0.5))
    before = copy.deepcopy(state.state_dict())
    product, size = choice_hessian(state)
    curvature = choice_curvature(state, 100, 1e-4)
    assert same(state.state_dict(), before)
    x, y = held_out(state, 1)[0]
    kinds = [kind for kind, _ in state.choices.items()]
    tables = [table.logits.detach() for _, table in state.choices.items()]

    def loss(*logits: Tensor) -> Tensor:
        mixings = {kind: Softmax()(t, Progress(epoch=0.5)) for kind, t in zip(kinds, logits, strict=True)}
        with frozen_statistics(state.supernet.train()):
            return state.parts.task.loss(functional_call(state.supernet, {}, (x, mixings)), y)

    blocks = torch.autograd.functional.hessian(loss, tuple(tables))
    rows = [torch.cat([b.reshape(t.numel(), -1) for b in row], dim=1) for t, row in zip(tables, blocks, strict=True)]
    whole = torch.cat(rows)
    assert whole.shape == (size, size)
    vector = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(product(vector), whole @ vector, rtol=1e-6, atol=1e-10)
    assert curvature == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=0.05)


def of(*values: float) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "eigenvalue": value} for epoch, value in enumerate(values, start=1)]


def test_eigenvalues_are_averaged_over_the_last_epochs() -> None:
    assert smoothed([1.0, 3.0, 5.0, 7.0], window=2) == [1.0, 2.0, 4.0, 6.0]


def test_a_search_stops_where_they_have_grown_and_goes_back() -> None:
    assert stopping_epoch(of(*[1.0] * 20)) is None
    assert stopping_epoch(of(*[1.0] * 5)) is None
    growing = [1.0] * 8 + [2.0] * 4
    means = smoothed(growing)
    first = next(i for i in range(5, 12) if means[i - 5] / means[i] < 0.75)
    assert stopping_epoch(of(*growing)) == first - 5 + 1
    assert stopping_epoch(of(*growing[:first])) is None
    assert stopping_epoch([{"epoch": 1}, {"epoch": 2}]) is None
