"""Every registered part keeps the promises of its protocol, checked by itself.

A new part is one file and one line in the registry; with that line it is tested here. Parts are built with their
defaults; one that needs options gets them in ``NEEDED``.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from tests.engine.test_hypergradient import SmoothProblem
from tests.engine.test_state import same
from tests.engine.toys import NoisySoftmax, ToyData, next_update, toy_state
from torch import Tensor

import archgrad
from archgrad import registry
from archgrad.api.settings import search_config
from archgrad.choices import Choices, ChoiceTable, Concrete, Mixing, Progress, Softmax, Support
from archgrad.engine.derivations.derive import architecture_of
from archgrad.engine.hypergradient import InnerStep
from archgrad.engine.update import Streams, Update, update
from archgrad.recipes.compatible import incompatible
from archgrad.recipes.recipe import Recipe
from archgrad.runs.parts import PART_KINDS, build_part
from archgrad.space.cells import CellSpace, Space
from archgrad.space.darts import DARTS_OPERATIONS, DartsSpace

NEEDED: dict[tuple[str, str], dict[str, Any]] = {}
MOMENTS = (Progress(0.0, 0.02), Progress(0.5, 0.5), Progress(1.0, 1.0))
CELL = CellSpace(2, 3, DARTS_OPERATIONS)
ROWS, CANDIDATES = len(CELL.edges), len(CELL.operations)


def built(kind: str, name: str) -> Any:
    return build_part(kind, {"name": name, **NEEDED.get((kind, name), {})})


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", registry.names(kind))


def is_support(support: Support, rows: int, candidates: int) -> bool:
    hash(support)
    return (
        isinstance(support, tuple)
        and len(support) == rows
        and all(isinstance(row, tuple) and len(row) == candidates for row in support)
        and all(type(entry) is bool for row in support for entry in row)
    )


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in registry.PARTS for name in registry.names(kind)])
def test_every_name_in_the_registry_leads_somewhere(kind: str, name: str) -> None:
    assert registry.get(kind, name) is registry.get(kind, name)


def test_every_kind_of_part_can_be_set() -> None:
    within = {"morphism"}  # named in growth.steps
    assert set(PART_KINDS.values()) | {"recipe", "data"} | within == set(registry.PARTS)


def a_table(relaxation: Any, seed: int = 0) -> ChoiceTable:
    generator = torch.Generator().manual_seed(seed)
    logits = relaxation.initial(ROWS, CANDIDATES, generator)
    spread = 0.3 * torch.rand(ROWS, CANDIDATES, generator=generator)  # away from the start, where all are alike
    return ChoiceTable(logits + spread, CELL.groups, relaxation.extras(CELL.groups, CANDIDATES)).double()


def check_mixing(mixing: Mixing, table: ChoiceTable) -> None:
    assert mixing.weights.shape == (ROWS, CANDIDATES)
    assert mixing.weights.dtype == table.logits.dtype
    assert bool(torch.isfinite(mixing.weights).all())
    assert is_support(mixing.support, ROWS, CANDIDATES)
    support = torch.tensor(mixing.support)
    assert not bool(mixing.weights[~support].any())
    assert not bool((support & ~table.alive).any())
    for target in set(table.groups):
        into = torch.tensor([group == target for group in table.groups])
        assert bool(support[into].any()), f"nothing runs into node {target}"


@each("relaxation")
def test_relaxations_give_mixings(name: str) -> None:
    relaxation, generator = built("relaxation", name), torch.Generator().manual_seed(1)
    table = a_table(relaxation)
    before = copy.deepcopy(table.state_dict())
    state = torch.get_rng_state()
    assert isinstance(relaxation.needs_node_norm, bool)
    for progress in MOMENTS:
        noise = relaxation.noise(table, generator)
        assert noise is None or bool(torch.isfinite(noise).all())
        mixing = relaxation(table, progress, noise)
        check_mixing(mixing, table)
        again = relaxation(table, progress, noise)
        assert torch.equal(again.weights, mixing.weights)
        assert again.support == mixing.support
        expected = relaxation.expected(table, progress)
        check_mixing(expected, table)
        relaxation.noise(table, generator)
        assert torch.equal(relaxation.expected(table, progress).weights, expected.weights)
        weights = torch.rand(ROWS, CANDIDATES, dtype=torch.float64, generator=generator)
        (gradient,) = torch.autograd.grad((weights * mixing.weights).sum(), table.logits)
        assert bool(torch.isfinite(gradient).all())
        for target in set(table.groups):
            into = torch.tensor([group == target for group in table.groups])
            if float(mixing.weights[into].detach().amax()) == 1.0 and not bool((mixing.weights[into] % 1).any()):
                continue  # a node that is decided on every edge (weights 0 and 1 alone) has nothing left to learn
            assert float(gradient[into].abs().sum()) > 0, f"no gradient for the choices of node {target}"
    assert same(dict(table.state_dict()), dict(before))  # pure
    assert torch.equal(torch.get_rng_state(), state)  # what is random comes from the given generator


@each("relaxation")
def test_relaxations_draw_by_their_generator(name: str) -> None:
    relaxation = built("relaxation", name)
    one, two = (relaxation.initial(5, 4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.shape == (5, 4)
    assert one.dtype == torch.float32
    assert bool(torch.isfinite(one).all())
    assert torch.equal(one, two)
    table = a_table(relaxation)
    draws = [relaxation.noise(table, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    if draws[0] is None:
        assert draws == [None] * 3
        return
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@each("relaxation")
def test_relaxations_take_bare_logits_and_leave_out_the_dead(name: str) -> None:
    relaxation = built("relaxation", name)
    table = a_table(relaxation)
    if not relaxation.extras(CELL.groups, CANDIDATES):
        bare = table.logits.detach().clone().requires_grad_()
        mixing = relaxation(bare, MOMENTS[1])
        assert torch.equal(mixing.weights, relaxation(table, MOMENTS[1]).weights)
        (gradient,) = torch.autograd.grad((mixing.weights**2).sum(), bare)
        assert float(gradient.abs().sum()) > 0
    table.alive[0, 1:] = False
    table.alive[3] = False
    for progress in MOMENTS:
        check_mixing(relaxation(table, progress, relaxation.noise(table, torch.Generator())), table)
        check_mixing(relaxation.expected(table, progress), table)
    relaxation.settle(table)
    assert bool(torch.isfinite(table.logits).all())
    assert not bool(table.alive[3].any())


@each("layout")
@pytest.mark.parametrize("layers", [1, 2, 3, 8])
def test_layouts_give_every_layer_a_seat(name: str, layers: int) -> None:
    kinds = [layer.cell for layer in DartsSpace().skeleton().layers(layers, 4)]
    seats = built("layout", name)(kinds)
    assert len(seats) == layers
    assert any(seat.engine for seat in seats)
    assert all(type(seat.draw) is int and 0 <= seat.draw < layers for seat in seats)
    assert built("layout", name)(kinds) == seats


@each("schedule")
def test_schedules_step_the_weights_once_an_update_and_can_be_resumed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for method in ("choice_step", "weight_gradients", "weight_step", "joint_gradients", "apply_to_choices"):
        original = getattr(Update, method)

        def watched(self: Update, *given: Any, method: str = method, original: Any = original) -> None:
            done.append(method)
            original(self, *given)

        monkeypatch.setattr(Update, method, watched)

    def played(state: Any, updates: int) -> list[list[str]]:
        orders, streams = [], Streams(state)
        for _ in range(updates):
            done.clear()
            update(state, streams)
            orders.append(list(done))
        return orders

    draws = incompatible(("schedule", name), ("relaxation", "softmax")) is not None
    relaxation = Concrete() if draws else Softmax()
    state = toy_state(linear=True, schedule=built("schedule", name), data=ToyData(steps=12), relaxation=relaxation)
    assert 0 <= state.parts.schedule.choice_share < 1
    first = played(state, 5)
    tree = copy.deepcopy(state.state_dict())
    rest = played(state, 7)
    for order in first + rest:
        counts = Counter(order)
        gradients = "joint_gradients" if counts["joint_gradients"] else "weight_gradients"
        assert counts["joint_gradients"] + counts["weight_gradients"] == counts["weight_step"] == 1
        assert counts["apply_to_choices"] <= 1
        assert counts["choice_step"] <= 1 - counts["joint_gradients"]
        assert order.index(gradients) < order.index("weight_step")
    again = toy_state(linear=True, schedule=built("schedule", name), data=ToyData(steps=12), relaxation=relaxation)
    again.load_state_dict(tree)
    assert played(again, 7) == rest
    assert same(again.state_dict(), state.state_dict())


@each("hypergradient")
def test_hypergradients_are_gradients_of_the_choices_and_nothing_else(name: str) -> None:
    method, problem = built("hypergradient", name), SmoothProblem()
    before = copy.deepcopy((problem.weights, problem.choices))
    found = method(problem)
    assert [gradient.shape for gradient in found] == [choice.shape for choice in problem.choices]
    assert all(bool(torch.isfinite(gradient).all()) for gradient in found)
    assert not any(gradient.requires_grad for gradient in found)
    assert same(found, method(problem))
    assert same(before[0], problem.weights)
    assert same(before[1], problem.choices)
    assert all(tensor.grad is None for tensor in [*problem.weights.values(), *problem.choices])
    problem.inner = InnerStep(rate=0.0, momentum=0.9, decay=0.1, buffers=problem.inner.buffers)
    direct = problem.gradient("validation", problem.choices)
    for gradient, expected in zip(method(problem), direct, strict=True):  # no look ahead: the first order
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@each("penalty")
def test_penalties_are_finite_terms_that_can_be_saved(name: str) -> None:
    penalty = built("penalty", name)
    assert penalty.on in ("choices", "both")
    state = toy_state(nodes=2, relaxation=NoisySoftmax(), penalties={"it": penalty})
    problem = next_update(state).problem
    value: Tensor = penalty(problem.view())
    assert value.shape == ()
    assert bool(torch.isfinite(value))
    update(state, Streams(state))
    tree = copy.deepcopy(state.state_dict())
    again = toy_state(nodes=2, relaxation=NoisySoftmax(), penalties={"it": built("penalty", name)})
    again.load_state_dict(tree)
    assert same(again.state_dict(), tree)
    assert update(again, Streams(again)).report() == update(state, Streams(state)).report()


@each("derivation")
@pytest.mark.parametrize("seed", range(5))
def test_derivations_keep_a_part_of_the_support_and_every_node_an_input(name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(ROWS, CANDIDATES, generator=generator)
    weights[:, 0] *= 0.01  # "none" is weak, so that no rule has a reason to leave a node empty
    alive = torch.rand(ROWS, CANDIDATES, generator=generator) < (1.0 if seed < 2 else 0.6)
    alive[:, 4] = True
    mixing = Mixing((weights * alive).requires_grad_(), tuple(map(tuple, alive.tolist())))
    rule = built("derivation", name)
    support = rule(mixing, CELL)
    assert is_support(support, ROWS, CANDIDATES)
    assert rule(mixing, CELL) == support
    kept = torch.tensor(support)
    assert not bool((kept & ~alive).any())
    for target in set(CELL.groups):
        into = torch.tensor([group == target for group in CELL.groups])
        assert bool(kept[into, 1:].any()), f"node {target} has no input"


@each("space")
def test_spaces_describe_cells_whose_architectures_can_be_read_back(name: str) -> None:
    space = built("space", name)()
    assert isinstance(space, Space)
    assert space.name == name
    assert registry.get("space", name).skeleton() == space.skeleton
    for cells in (1, 3, 8):
        layers = space.skeleton.layers(cells, 4)
        assert len(layers) == cells
        assert {layer.cell for layer in layers} <= set(space.cells)
    choices = Choices(space, Softmax(deviation=1.0), torch.Generator().manual_seed(0))
    supports = {}
    for kind, cell in space.cells.items():
        assert kind in space.combiners or set(cell.operations) <= set(registry.get("space", name).known_operations())
        table = dict(choices.items())[kind]
        assert table.logits.shape == (len(cell.edges), len(cell.operations))
        assert len(cell.groups) == len(cell.edges)
        supports[kind] = tuple(tuple(entry > 0 for entry in row) for row in table.logits.tolist())
    architecture = architecture_of(space, supports, made_by={"recipe": "none"})
    assert not [edge for cell in architecture.cells.values() for edge in cell.edges if edge.operation == "none"]
    assert archgrad.Architecture.from_dict(architecture.to_dict()) == architecture


@each("recipe")
def test_recipes_resolve_and_search(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
    recipe = registry.get("recipe", name)
    assert isinstance(recipe, Recipe)
    assert recipe.name == name
    assert recipe.summary
    assert recipe.citation
    config = search_config(name)
    assert config.recipe == name
    for setting, kind in PART_KINDS.items():
        part = getattr(config, setting)
        for spec in part.values() if isinstance(part, dict) else [part] if part else []:
            assert spec.name in registry.names(kind)
    labels = torch.arange(20) % 2
    images = torch.rand(20, 1, 8, 8) * 0.5 + labels.view(-1, 1, 1, 1) / 2
    result = archgrad.search(
        name,
        data=(images, labels),
        epochs=1,
        metrics={},
        settings={
            **{"space.nodes": 2, "data.batch": 16},
            **{"supernet.cells": 3, "supernet.channels": max(2, config.supernet.partial)},
        },
    )
    assert result.state.step == 1
    assert result.recipe == name
    assert set(result.architecture.cells) == set(result.state.parts.space.cells)
    for cell in result.architecture.cells.values():
        assert cell.edges
    assert all(bool(torch.isfinite(tensor).all()) for tensor in result.state.choices.parameters())
    network = archgrad.build(result.architecture, cells=3, channels=2, in_channels=1, classes=2)
    assert network(images[:2]).shape == (2, 2)
