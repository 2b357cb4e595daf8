"""The clipped relaxation: weights stay in [0, 1], who reached 0 never returns, and no node loses everything."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from archgrad.choices import ChoiceTable, Clipped, Progress
from archgrad.choices.clipped import clipped_weights, survivors
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DARTS_OPERATIONS, DartsSpace
from archgrad.supernet.plan import make_plan

seeds = st.integers(0, 2**31)
GROUPS = (2, 2, 3, 3, 3)
PROGRESS = Progress()


def drawn(seed: int, scale: float = 1.0, rows: int = 5, candidates: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, candidates, generator=generator, dtype=torch.float64)


@given(seeds)
def test_weights_are_the_values_clipped_to_0_and_1(seed: int) -> None:
    logits = drawn(seed)
    alive = drawn(seed + 1) > -0.5
    weights = clipped_weights(logits, alive)
    for row in range(5):
        for k in range(4):
            expected = min(max(float(logits[row, k]), 0.0), 1.0) if alive[row, k] else 0.0
            assert float(weights[row, k]) == expected


def test_the_gradient_is_1_inside_and_0_outside_and_for_the_dead() -> None:
    logits = torch.tensor([[-0.2, 0.3, 0.9, 1.4, 0.5]], dtype=torch.float64, requires_grad=True)
    alive = torch.tensor([[True, True, True, True, False]])
    (gradient,) = torch.autograd.grad(clipped_weights(logits, alive).sum(), logits)
    assert gradient.tolist() == [[0.0, 1.0, 1.0, 0.0, 0.0]]


def test_the_start_is_one_over_k_with_a_little_noise() -> None:
    logits = Clipped().initial(200, 7, torch.Generator().manual_seed(0))
    assert abs(float(logits.mean()) - 1 / 7) < 2e-5
    assert abs(float(logits.std()) - 1e-4) < 1e-5
    assert torch.equal(logits, Clipped().initial(200, 7, torch.Generator().manual_seed(0)))
    assert float((Clipped(deviation=0.0).initial(2, 5, torch.Generator()) - 0.2).abs().max()) < 1e-7
    assert len(DartsSpace(none=False)().cells["normal"].operations) == 7  # the K of the recipes


def test_it_asks_for_a_norm_behind_every_sum_and_nothing_is_random() -> None:
    assert Clipped().needs_node_norm
    table = ChoiceTable(drawn(0), GROUPS)
    assert Clipped().noise(table, torch.Generator()) is None
    assert torch.equal(Clipped().expected(table, PROGRESS).weights, Clipped()(table, PROGRESS).weights)


@given(seeds, st.integers(1, 6))
def test_who_died_never_returns_whatever_the_optimiser_does(seed: int, rounds: int) -> None:
    """Play a search whose optimiser has momentum: steps go on after a death, and must not bring anyone back."""
    clipped = Clipped()
    table = ChoiceTable(0.2 + drawn(seed, 0.1), GROUPS)
    optimizer = torch.optim.Adam(table.parameters(), 0.2, weight_decay=1e-3)
    dead = torch.zeros_like(table.alive)
    for number in range(rounds):
        table.logits.grad = drawn(seed + number + 1)
        optimizer.step()
        clipped.settle(table)
        mixing = clipped(table, PROGRESS)
        weights = mixing.weights.detach()
        assert bool(((weights >= 0) & (weights <= 1)).all())
        assert not bool(weights[dead].any())
        assert not bool((table.alive & dead).any())
        assert torch.equal(weights > 0, table.alive)  # alive is the same as not at 0
        assert mixing.support == tuple(map(tuple, table.alive.tolist()))
        for group in set(GROUPS):
            assert bool(table.alive[torch.tensor(GROUPS) == group].any())
        dead |= ~table.alive
        restored = ChoiceTable(drawn(0), GROUPS)
        restored.load_state_dict(table.state_dict())
        assert torch.equal(restored.alive, table.alive)


@given(seeds)
def test_survivors_by_hand(seed: int) -> None:
    logits, alive = drawn(seed) - 1.0, drawn(seed + 1) > 0
    kept, spared = survivors(logits, alive, GROUPS)
    for group in set(GROUPS):
        places = [(row, k) for row in range(5) if GROUPS[row] == group for k in range(4) if alive[row, k]]
        expected = [place for place in places if logits[place] > 0]
        last = [] if expected or not places else [max(places, key=lambda place: float(logits[place]))]
        rows = torch.tensor([mark == group for mark in GROUPS])
        assert sorted(map(tuple, (kept & rows[:, None]).nonzero().tolist())) == sorted(expected or last)
        assert sorted(map(tuple, (spared & rows[:, None]).nonzero().tolist())) == last


def test_the_last_of_a_node_returns_to_its_start() -> None:
    table = ChoiceTable(torch.tensor([[-0.1, -0.3], [-0.2, -0.05], [0.4, -0.1]]), (2, 2, 3))
    Clipped().settle(table)
    assert table.alive.tolist() == [[False, False], [False, True], [True, False]]
    torch.testing.assert_close(table.logits.detach(), torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.4, 0.0]]))


def test_a_row_that_was_dead_before_stays_so_and_a_dead_group_is_left_alone() -> None:
    table = ChoiceTable(torch.full((3, 2), 0.3), (2, 2, 3))
    table.alive[2] = False
    Clipped().settle(table)
    assert table.alive.tolist() == [[True, True], [True, True], [False, False]]
    assert not bool(table.logits[2].any())


def test_who_is_dead_costs_nothing() -> None:
    cell = CellSpace(2, 2, DARTS_OPERATIONS[1:])
    table = ChoiceTable(torch.full((5, 7), 0.3), cell.groups)
    everything = make_plan(cell, Clipped()(table, PROGRESS).support)
    with torch.no_grad():
        table.logits[0, :5] = -0.1
        table.logits[3] = -0.1
    Clipped().settle(table)
    rest = make_plan(cell, Clipped()(table, PROGRESS).support)
    assert everything.evaluations == 35
    assert rest.evaluations == 35 - 5 - 7
    assert not [row for row in rest.rows if not bool(table.alive[row.edge, row.candidate])]
