"""Proximity: the projection is the derivation rule, the norm is finite everywhere, the coefficient rises linearly."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.toys import next_update, toy_state
from torch import Tensor

from archgrad.choices import Clipped, Mixing, Softmax, full_support, transit
from archgrad.engine.derivations.derive import TopEdges
from archgrad.engine.penalties.proximity import Proximity, decidedness, distance, frobenius, proximity
from archgrad.errors import InputError
from archgrad.space.darts import DartsSpace

CELL = DartsSpace()().cells["normal"]
ROWS, CANDIDATES = len(CELL.edges), len(CELL.operations)
seeds = st.integers(0, 2**31)


def drawn(seed: int) -> Mixing:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.softmax(torch.randn(ROWS, CANDIDATES, generator=generator, dtype=torch.float64), dim=1)
    return Mixing(weights.requires_grad_(), full_support(ROWS, CANDIDATES))


def discrete(mixing: Mixing) -> Mixing:
    """Return the projection of a mixing as a mixing that learns."""
    projected = transit(TopEdges(2)(mixing, CELL), mixing.weights)
    return Mixing(projected.weights.requires_grad_(), mixing.support)


@given(seeds)
def test_the_projection_of_a_cell_has_8_ones_and_every_node_an_input(seed: int) -> None:
    matrix = discrete(drawn(seed)).weights.detach()
    assert matrix.shape == (14, 8)
    assert sorted(set(matrix.flatten().tolist())) == [0.0, 1.0]
    assert int(matrix.sum()) == 8
    for target in set(CELL.groups):
        assert int(matrix[torch.tensor(CELL.groups) == target].sum()) == 2
    assert not bool(matrix[:, 0].any())  # none


@given(seeds)
def test_the_distance_is_the_norm_by_numpy_and_its_gradient_the_unit_vector(seed: int) -> None:
    mixing = drawn(seed)
    projection = TopEdges(2)(mixing, CELL)
    away = mixing.weights.detach().numpy() - numpy.array(projection, dtype=float)
    value = distance(mixing, projection)
    assert float(value.detach()) == pytest.approx(numpy.linalg.norm(away), rel=1e-12)
    (gradient,) = torch.autograd.grad(value, mixing.weights)
    numpy.testing.assert_allclose(gradient.numpy(), away / numpy.linalg.norm(away), rtol=1e-10)


@pytest.mark.parametrize("elapsed", [None, 0.0, 0.3, 1.0])
def test_a_discrete_point_has_value_0_and_a_finite_gradient_of_0(elapsed: float | None) -> None:
    mixing = discrete(drawn(0))
    value = distance(mixing, TopEdges(2)(mixing, CELL), elapsed)
    assert float(value.detach()) == 0.0
    (gradient,) = torch.autograd.grad(value, mixing.weights)
    assert not bool(gradient.any())


def test_the_norm_is_finite_however_small() -> None:
    for size in (0.0, 1e-200, 1e-30, 1.0):
        matrix = torch.full((3, 2), size, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(frobenius(matrix), matrix)
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().max()) <= 1.0


@pytest.mark.parametrize(("elapsed", "coefficient"), [(0.0, 0.0), (0.5, 0.025), (1.0, 0.05)])
@pytest.mark.parametrize("adjusted", [False, True])
def test_the_coefficient_rises_from_0_to_half_the_strength(elapsed: float, coefficient: float, adjusted: bool) -> None:
    expected = {"normal": drawn(1), "reduce": drawn(2)}
    projections = {kind: TopEdges(2)(mixing, CELL) for kind, mixing in expected.items()}
    total = sum(
        float(distance(mixing, projections[kind], elapsed if adjusted else None).detach())
        for kind, mixing in expected.items()
    )
    value = proximity(expected, projections, 0.1, elapsed, adjusted)
    assert float(value.detach()) == pytest.approx(coefficient * total, rel=1e-12)


@given(st.integers(2, 12))
def test_decidedness_is_0_where_nothing_is_decided_and_1_where_all_is(candidates: int) -> None:
    def g(weight: float) -> float:
        return float(decidedness(torch.full((1, candidates), weight, dtype=torch.float64))[0, 0])

    assert g(1 / candidates) == pytest.approx(0.0, abs=1e-12)
    assert g(1.0) == pytest.approx(1.0)
    assert g(1.7) == g(1.0)
    assert g(0.0) == g(1e-4) == pytest.approx(4 * ((1e-4) ** (math.log(2) / math.log(candidates)) - 0.5) ** 2)


def test_the_adjusted_form_leaves_undecided_weights_alone_early() -> None:
    undecided = Mixing(
        torch.full((ROWS, CANDIDATES), 1 / CANDIDATES, dtype=torch.float64), full_support(ROWS, CANDIDATES)
    )
    projection = TopEdges(2)(undecided, CELL)
    assert float(distance(undecided, projection, 0.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(distance(undecided, projection, 1.0)) == pytest.approx(float(distance(undecided, projection)))
    assert decidedness(torch.ones(2, 1)).tolist() == [[1.0], [1.0]]  # a sole candidate is decided


@pytest.mark.parametrize("relaxation", [Softmax(deviation=0.5), Clipped(deviation=0.1)])
def test_in_a_search_it_pulls_the_choices_to_the_derived_cell(relaxation: Softmax | Clipped) -> None:
    state = toy_state(nodes=2, relaxation=relaxation, penalties={"proximity": Proximity(strength=1.0)})
    state.step = 2  # in the middle, where the coefficient is not 0

    def away() -> Tensor:
        view = next_update(state).problem.view()
        return torch.stack([distance(mixing, view.projections[kind]) for kind, mixing in view.expected.items()]).sum()

    problem = next_update(state).problem
    view = problem.view()
    value = Proximity(strength=1.0)(view)
    assert float(value.detach()) == pytest.approx(0.5 * view.progress.elapsed * float(away().detach()))
    before = float(away().detach())
    for _ in range(20):
        gradients = torch.autograd.grad(Proximity(strength=1.0)(problem.view()), problem.choices)
        with torch.no_grad():
            for choice, gradient in zip(problem.choices, gradients, strict=True):
                choice -= 0.1 * gradient / view.progress.elapsed
    assert float(away().detach()) < before
    assert Proximity().on == "choices"


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(InputError, match="strength of proximity is -1"):
        Proximity(strength=-1.0)
