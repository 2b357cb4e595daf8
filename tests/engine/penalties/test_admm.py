"""ADMM against three rounds written out in numpy; its variables are state; its residual falls in a search."""

from __future__ import annotations

import copy
from typing import Any

import numpy
import pytest
import torch
from tests.engine.test_state import same
from tests.engine.toys import next_update, toy_state
from torch import Tensor

from archgrad.choices import Clipped, Mixing, Softmax, full_support
from archgrad.engine.derivations.derive import TopEdges
from archgrad.engine.penalties.admm import Admm, admm_copy, admm_dual, admm_term
from archgrad.engine.update import Streams, update
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace

CELL = CellSpace(2, 2, ("none", "skip", "sep"))
ROWS = len(CELL.edges)
Matrix = numpy.ndarray[Any, numpy.dtype[numpy.float64]]


def project_by_hand(weights: Matrix, alive: Matrix) -> Matrix:
    """Keep, for each node, the best operation but ``none`` of its two best edges."""
    kept = numpy.zeros_like(weights)
    scores = numpy.where(alive > 0, weights, -numpy.inf)[:, 1:]
    for target in (2, 3):
        rows = [row for row, (_, end) in enumerate(CELL.edges) if end == target]
        for row in sorted(rows, key=lambda row: -scores[row].max())[:2]:
            if numpy.isfinite(scores[row].max()):
                kept[row, 1 + scores[row].argmax()] = 1.0
    return kept


@pytest.mark.parametrize("decay", [1.0, 0.2])
def test_three_rounds_equal_a_computation_by_hand(decay: float) -> None:
    generator = numpy.random.default_rng(0)
    alive = numpy.ones((ROWS, 3))
    alive[1, 2] = alive[4] = 0
    mask = torch.tensor(alive > 0)
    support = tuple(map(tuple, mask.tolist()))
    a = generator.random((ROWS, 3)) * alive
    z, u = a.copy(), numpy.zeros_like(a)
    copied, dual = torch.tensor(z), torch.tensor(u)
    changed = 0
    for _ in range(3):
        a = numpy.clip(a + 0.4 * generator.standard_normal(a.shape), 0, 1) * alive
        term = 0.15 * numpy.sqrt((((a - z + u) * alive) ** 2).sum())  # rho = 0.3
        weights = torch.tensor(a)
        assert float(admm_term(weights, copied, dual, mask, 0.3)) == pytest.approx(term, rel=1e-12)
        before = z
        z = project_by_hand(a + u, alive)
        u = (decay * u + a - z) * alive
        copied = admm_copy(Mixing(weights, support), dual, TopEdges(2), CELL)
        dual = admm_dual(weights, copied, dual, mask, decay)
        numpy.testing.assert_array_equal(copied.numpy(), z)
        numpy.testing.assert_allclose(dual.numpy(), u, rtol=1e-12, atol=1e-15)
        changed += bool((before != z).any())
    assert changed == 3  # else the rounds would show nothing


def test_the_term_is_finite_at_the_start_where_it_is_0() -> None:
    weights = torch.rand(ROWS, 3, dtype=torch.float64).requires_grad_()
    value = admm_term(weights, weights.detach(), torch.zeros(ROWS, 3), torch.ones(ROWS, 3) > 0, 0.1)
    (gradient,) = torch.autograd.grad(value, weights)
    assert float(value.detach()) == 0.0
    assert not bool(gradient.any())


def test_the_dead_feel_nothing() -> None:
    weights = torch.rand(ROWS, 3, dtype=torch.float64).requires_grad_()
    alive = torch.ones(ROWS, 3) > 0
    alive[2] = False
    value = admm_term(weights, torch.ones(ROWS, 3), torch.ones(ROWS, 3), alive, 0.1)
    (gradient,) = torch.autograd.grad(value, weights)
    assert not bool(gradient[2].any())
    assert bool(gradient[alive].all())
    assert not bool(admm_dual(weights.detach(), torch.ones(ROWS, 3), torch.ones(ROWS, 3), alive, 1.0)[2].any())


@pytest.mark.parametrize("relaxation", [Softmax(deviation=0.5), Clipped(deviation=0.1)])
def test_a_search_updates_its_variables_every_so_many_choice_steps(relaxation: Softmax | Clipped) -> None:
    penalty = Admm(strength=0.1, every=3)
    state = toy_state(nodes=2, relaxation=relaxation, penalties={"admm": penalty}, choices={"rate": 0.05}, epochs=10)
    streams = Streams(state)
    start = next_update(state).problem.view().expected["normal"].weights.detach()
    z, u = start.clone(), torch.zeros_like(start)
    for number in range(1, 8):
        update(state, streams)
        assert penalty.steps == number
        if number % 3 == 0:
            assert set(penalty.copies["normal"].unique().tolist()) == {0.0, 1.0}
            assert not torch.equal(penalty.copies["normal"], z) or number > 3
            z, u = penalty.copies["normal"], penalty.duals["normal"]
            assert "dual_residual" in penalty.report()
        assert torch.equal(penalty.copies["normal"], z)
        assert torch.equal(penalty.duals["normal"], u)
    view = next_update(state).problem.view()
    away = [((view.expected[kind].weights.detach() - penalty.copies[kind]) ** 2).sum() for kind in view.expected]
    if isinstance(relaxation, Softmax):  # there nobody dies after the residual was taken
        assert penalty.report()["primal_residual"] == pytest.approx(float(torch.stack(away).sum().sqrt()), rel=1e-5)


def test_it_goes_on_where_it_was_bit_for_bit() -> None:
    def fresh() -> Any:
        penalties = {"admm": Admm(every=2, decay=0.5)}
        return toy_state(nodes=2, relaxation=Clipped(), penalties=penalties, choices={"rate": 0.05}, epochs=10)

    whole, streams = fresh(), Streams(fresh())
    streams.state = whole
    for _ in range(5):
        update(whole, streams)
    tree = copy.deepcopy(whole.state_dict())
    assert set(tree["penalties"]["admm"]["copies"]) == {"normal", "reduce"}
    rest = [update(whole, streams).report() for _ in range(4)]
    again = fresh()
    again.load_state_dict(tree)
    opened = Streams(again)
    assert same([update(again, opened).report() for _ in range(4)], rest)
    assert same(again.state_dict(), whole.state_dict())


def test_the_primal_residual_falls_in_a_search_that_can_follow() -> None:
    """The choices can cross [0, 1] between two updates of the copy, here 10 steps of 0.1; else the copy flips."""
    penalty = Admm(strength=1.0, every=10)
    state = toy_state(relaxation=Clipped(), penalties={"admm": penalty}, choices={"rate": 0.1}, epochs=50)
    streams, residuals = Streams(state), []
    for _ in range(50):
        update(state, streams)
        residuals.append(penalty.report()["primal_residual"])
    assert residuals[10] > 1.0  # right after the first discrete copy
    assert max(residuals[-5:]) < 0.05 * residuals[10]


def test_a_cell_that_has_grown_begins_afresh() -> None:
    penalty = Admm()
    old: Tensor = torch.rand(3, 2)
    penalty._variables("normal", old)
    penalty.duals["normal"] += 1.0
    larger = torch.rand(5, 2)
    z, u = penalty._variables("normal", larger)
    assert torch.equal(z, larger)
    assert not bool(u.any())


def test_a_copy_is_the_derived_cell_where_there_is_no_dual_yet() -> None:
    mixing = Mixing(torch.rand(ROWS, 3), full_support(ROWS, 3))
    assert admm_copy(mixing, torch.zeros(ROWS, 3), TopEdges(2), CELL).bool().tolist() == [
        list(row) for row in TopEdges(2)(mixing, CELL)
    ]
    assert Admm().on == "choices"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": -0.1}, "strength of admm is -0.1"),
        ({"every": 0}, "every 0 choice steps"),
        ({"decay": 2.0}, "is 2"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Admm(**options)
