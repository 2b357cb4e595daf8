"""Selections at the end of a search: against exhaustive judgement, and what they leave as it was."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from tests.engine.test_state import same
from tests.engine.toys import LINEAR_SPACE, ToyData, toy_state

from archgrad.choices import Mixing, Support
from archgrad.engine import BestOfRandom, Evolution, PerturbationSelection, TopEdges
from archgrad.engine.derivations.darts_pt import only, without
from archgrad.engine.derivations.derive import architecture_of, project, supports_of
from archgrad.engine.derivations.evolution import evolved, mutated
from archgrad.engine.derivations.selection import child_loss, decided, final_expected, held_out, random_cells
from archgrad.engine.evaluate import evaluate_mixings
from archgrad.engine.state import SearchState
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DartsSpace

CELL = CellSpace(2, 2, ("none", "a", "b", "c"))
FULL = ((True,) * 4,) * len(CELL.edges)


def ended(**given: Any) -> SearchState:
    state = toy_state(nodes=given.pop("nodes", 2), data=ToyData(steps=2, batch=6), **given)
    state.step, state.epoch = 4, 2
    return state


def test_a_rule_that_does_not_select_is_asked_as_ever() -> None:
    state = ended()
    assert decided(state) == project(final_expected(state), TopEdges(), state.parts.space)


def test_removing_and_deciding() -> None:
    mixing = Mixing(torch.tensor([[0.2, 0.8], [0.5, 0.5]]), ((True, True), (True, True)))
    gone = without(mixing, 0, 1)
    assert gone.weights.tolist() == [[pytest.approx(0.2), 0.0], [0.5, 0.5]]
    assert gone.support == ((True, False), (True, True))
    assert without(mixing, 1).support == ((True, True), (False, False))
    chosen = only(mixing, 1, 0)
    assert chosen.weights[1].tolist() == [1.0, 0.0]
    assert chosen.support == ((True, True), (True, False))
    assert mixing.weights[1].tolist() == [0.5, 0.5]


def test_the_operation_is_kept_that_the_supernet_misses_most() -> None:
    state = toy_state(linear=True)
    state.step, state.epoch = 4, 2
    assert state.parts.space is LINEAR_SPACE
    mixing = final_expected(state)["normal"]
    batches = held_out(state, None)
    loss = [evaluate_mixings(state, {"normal": without(mixing, 0, k)}, batches)["loss"] for k in range(2)]
    missed = loss.index(max(loss))
    assert PerturbationSelection().select(state)["normal"] == ((missed == 0, missed == 1),)
    with torch.no_grad():  # the other one must win where the features are the other's
        state.choices.tables["normal"].logits.copy_(torch.tensor([[4.0, -4.0]]))  # type: ignore[operator]
    loss = [
        evaluate_mixings(state, {"normal": without(final_expected(state)["normal"], 0, k)}, batches)["loss"]
        for k in (0, 1)
    ]
    assert PerturbationSelection().select(state)["normal"][0][loss.index(max(loss))]


def test_perturbation_leaves_two_edges_a_node_and_never_none() -> None:
    state = ended(nodes=2)
    before = copy.deepcopy(state.state_dict())
    found = PerturbationSelection(batches=1).select(state)
    assert same(state.state_dict(), before)  # without tuning nothing has changed
    for kind, support in found.items():
        cell = state.parts.space.cells[kind]
        assert all(sum(row) <= 1 and not row[0] for row in support)
        assert Counter(cell.groups[row] for row, those in enumerate(support) if any(those)) == {2: 2, 3: 2}
    assert found == PerturbationSelection(batches=1).select(state)
    tuned = ended(nodes=1)
    weights = {name: weight.detach().clone() for name, weight in tuned.weights.items()}
    PerturbationSelection(tune=0.25, batches=1).select(tuned)
    assert any(not torch.equal(weight, weights[name]) for name, weight in tuned.weights.items())
    assert tuned.positions == {"weights": 0, "choices": 0}


def test_the_best_of_random_cells_is_the_best() -> None:
    state = ended(derivation=BestOfRandom(cells=3, batches=1, statistics=1))
    before = copy.deepcopy(state.state_dict())
    rule = state.parts.derivation
    assert isinstance(rule, BestOfRandom)
    generator = torch.Generator().manual_seed(32_452_843)
    drawn = [cell for cell, _ in zip(random_cells(state, 2, generator), range(6), strict=False)]
    losses = [child_loss(state, cell, held_out(state, 1), 1) for cell in drawn]
    assert decided(state) == drawn[losses.index(min(losses))]
    assert same(state.state_dict(), before)


def test_random_cells_are_uniform() -> None:
    state = ended(nodes=2)
    cell = DartsSpace(nodes=2)().cells["normal"]
    counts: Counter[int] = Counter()
    operations: Counter[int] = Counter()
    for drawn, _ in zip(random_cells(state, 2, torch.Generator().manual_seed(0)), range(600), strict=False):
        rows = [row for row, those in enumerate(drawn["normal"]) if any(those)]
        counts.update(rows)
        operations.update(drawn["normal"][row].index(True) for row in rows)
    assert counts[0] == counts[1] == 600
    assert supports_of(state.parts.space, architecture_of(state.parts.space, drawn)) == drawn
    assert all(abs(counts[row] - 400) < 60 for row, (_, target) in enumerate(cell.edges) if target == 3)
    assert 0 not in operations
    assert all(abs(operations[k] - 2400 / 7) < 80 for k in range(1, 8))


@pytest.mark.parametrize("seed", range(5))
def test_a_mutant_differs_in_one_edge_or_one_operation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    parent = (
        (False, True, False, False),
        (False, False, True, False),
        *((False,) * 4,) * 2,
        (False, True, False, False),
    )
    kinds = set()
    for _ in range(40):
        child = mutated(parent, FULL, CELL, generator)
        changed = [row for row in range(5) if child[row] != parent[row]]
        assert sum(map(sum, child)) == 3
        assert not any(row[0] for row in child)
        if len(changed) == 1:
            kinds.add("operation")
        else:
            assert sorted(sum(child[row]) for row in changed) == [0, 1]
            assert {CELL.groups[row] for row in changed} == {3}
            kinds.add("edge")
    assert kinds == {"operation", "edge"}
    assert mutated(((False,) * 4,) * 5, FULL, CELL, generator) == ((False,) * 4,) * 5


def test_evolution_finds_the_cell_that_it_is_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = ((False, False, False, True),) * 2 + ((False, False, True, False),) * 2 + ((False,) * 4,)
    first: list[dict[str, Support]] = [{"it": ((False, True, False, False),) * 4 + ((False,) * 4,)} for _ in range(10)]

    def cost(cell: dict[str, Any]) -> float:
        rows = zip(cell["it"], wanted, strict=True)
        return float(sum(a != b for one, other in rows for a, b in zip(one, other, strict=True)))

    best = evolved(first, lambda p: {"it": mutated(p["it"], FULL, CELL, generator)}, cost, 600, 4, generator)
    assert cost(best) == 0.0
    assert evolved(first, lambda p: p, cost, 10, 4, generator) == first[0]


def test_evolution_is_no_worse_than_its_first_population() -> None:
    state = ended(derivation=Evolution(cells=6, population=4, sample=2, batches=1, statistics=1))
    found = decided(state)
    generator = torch.Generator().manual_seed(49_979_687)
    drawn = [cell for cell, _ in zip(random_cells(state, 2, generator), range(4), strict=False)]
    judged = [child_loss(state, cell, held_out(state, 1), 1) for cell in (found, *drawn)]
    assert judged[0] <= min(judged[1:])


@pytest.mark.parametrize("rule", [PerturbationSelection, BestOfRandom, Evolution])
def test_options_that_make_no_sense_are_refused(rule: Any) -> None:
    with pytest.raises(InputError, match=r"derivation\.k is 0; it must be at least 1"):
        rule(k=0)
