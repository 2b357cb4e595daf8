"""The resource penalty is the published sum over edges, and its three estimators estimate what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tests.engine.toys import NoisySoftmax, next_update, toy_state
from torch import Tensor

from archgrad.architecture import Architecture
from archgrad.choices import Choices, Mixing, Progress, Relaxation, Softmax, as_table
from archgrad.choices.concrete import Concrete
from archgrad.choices.mixing import support_of, transit
from archgrad.engine.derivations.derive import architecture_of, expected_mixings
from archgrad.engine.penalties.penalty import View
from archgrad.engine.penalties.resource import STRENGTHS, Resource, edge_cost, mean_cost, score_surrogate
from archgrad.errors import InputError
from archgrad.network import latency
from archgrad.network.costs import operation_cost
from archgrad.network.modules import make_operation
from archgrad.space.darts import DartsSpace
from archgrad.space.skeleton import Layer

SPACE = DartsSpace(nodes=2)()
CELL = SPACE.cells["normal"]
LAYERS = SPACE.skeleton.layers(5, 2)  # normal, reduction (4 channels), normal, reduction (8 channels), normal
MOMENT = Progress(0.5, 0.5)
KINDS = ("parameters", "flops", "memory_access")
Scale = Literal["log", "linear"]


@cache
def any_view() -> View:
    """Return a view as a search makes it, for what does not matter here."""
    return next_update(toy_state(nodes=2)).problem.view()


def a_view(
    relaxation: Relaxation | None = None,
    seed: int = 0,
    choices: Choices | None = None,
    mixings: Sequence[dict[str, Mixing]] | None = None,
) -> View:
    """Return what a penalty sees of a supernet of 5 cells on images of 12x8."""
    relaxation = relaxation or Softmax(deviation=1.0)
    generator = torch.Generator().manual_seed(seed)
    choices = choices or Choices(SPACE, relaxation, generator).double()
    noise = [{kind: relaxation.noise(table, generator) for kind, table in choices.items()}]
    draw = {kind: relaxation(table, MOMENT, noise[0][kind]) for kind, table in choices.items()}
    return replace(
        any_view(),
        space=SPACE,
        layers=LAYERS,
        input_shape=(3, 12, 8),
        stem="plain",
        choices=choices,
        relaxation=relaxation,
        mixings=mixings or [draw] * len(LAYERS),
        expected=expected_mixings(choices, relaxation, MOMENT),
        noise=noise,
        progress=MOMENT,
    )


def value(penalty: Resource, view: View) -> float:
    return float(penalty(view).detach())


def by_hand(weights: dict[str, Any], scale: Scale, kinds: Sequence[str], ratio: float) -> float:
    """Return the cost without strength as the paper's code defines it, in plain numbers."""
    factors = {"parameters": 0.86, "flops": 0.43 / 4000, "memory_access": 0.0043}
    sums: dict[bool, list[float]] = {False: [], True: []}
    sides = [(12, 8), (12, 8), (6, 4), (6, 4), (3, 2)]
    for layer, (height, width) in zip(LAYERS, sides, strict=True):
        total = 0.0
        for row, (source, _) in enumerate(CELL.edges):
            stride, at = 1, (height, width)
            if layer.reduction:
                stride, at = (2, at) if source < 2 else (1, (height // 2, width // 2))
            costs = [operation_cost(name, layer.channels, stride, at) for name in CELL.operations]
            mixed = {
                kind: sum(float(w) * getattr(c, kind) for w, c in zip(weights[layer.cell][row], costs, strict=True))
                for kind in kinds
            }
            if scale == "linear":
                total += sum(factors[kind] * value for kind, value in mixed.items())
            else:
                total += sum(math.log(max(value, 1.0)) for value in mixed.values()) / len(kinds)
        sums[layer.reduction].append(total)
    return float(np.mean(sums[False]) + ratio * np.mean(sums[True]))


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("kind", ["paper", *KINDS])
@pytest.mark.parametrize("estimator", ["sample", "expectation", "policy_gradient"])
def test_the_value_is_the_published_sum(scale: Scale, kind: Any, estimator: Any) -> None:
    view = a_view(Concrete(deviation=1.0))
    penalty = Resource(kind, estimator, scale, strength=0.3, ratio=0.7)
    read = view.expected if estimator == "expectation" else view.mixings[0]
    weights = {cell: mixing.weights.detach().numpy() for cell, mixing in read.items()}
    expected = by_hand(weights, scale, KINDS if kind == "paper" else [kind], 0.7)
    assert value(penalty, view) == pytest.approx(0.3 * expected, rel=1e-12)


@pytest.mark.parametrize(("scale", "estimator"), STRENGTHS)
def test_strengths_are_the_published_ones_unless_given(scale: Any, estimator: Any) -> None:
    view = a_view(Concrete(deviation=1.0))
    default, one = Resource(estimator=estimator, scale=scale), Resource("paper", estimator, scale, strength=1.0)
    assert value(default, view) == pytest.approx(STRENGTHS[scale, estimator] * value(one, view))
    assert value(Resource("paper", estimator, scale, strength=0.0), view) == 0


def test_every_layer_pays_for_its_own_draw() -> None:
    view = a_view(Concrete(deviation=1.0))
    draws = [dict(a_view(Concrete(deviation=1.0), choices=view.choices, seed=seed).mixings[0]) for seed in range(5)]
    penalty = Resource(scale="linear")
    first = value(penalty, replace(view, mixings=[draws[0]] * 5))
    alone = [[draws[0]] * i + [draw] + [draws[0]] * (4 - i) for i, draw in enumerate(draws)]
    differences = [value(penalty, replace(view, mixings=mixings)) - first for mixings in alone]
    assert all(differences[1:])
    assert value(penalty, replace(view, mixings=draws)) == pytest.approx(first + sum(differences))


def one_hot(seed: int) -> dict[str, Mixing]:
    generator = torch.Generator().manual_seed(seed)
    supports = {}
    for kind in ("normal", "reduce"):
        kept = torch.zeros(len(CELL.edges), len(CELL.operations), dtype=torch.bool)
        kept[torch.arange(len(kept)), torch.randint(8, (len(kept),), generator=generator)] = True
        supports[kind] = support_of(kept)
    return {kind: transit(support, torch.zeros(1, dtype=torch.float64)) for kind, support in supports.items()}


@pytest.mark.parametrize("seed", range(3))
def test_a_one_hot_mixing_costs_what_the_derived_cells_operations_cost(seed: int) -> None:
    draw = one_hot(seed)
    view = a_view(mixings=[draw] * 5)
    architecture: Architecture = architecture_of(SPACE, {kind: mixing.support for kind, mixing in draw.items()})
    totals: dict[bool, list[int]] = {False: [], True: []}
    for layer in LAYERS:
        operations = [
            make_operation(
                edge.operation, layer.channels, 2 if layer.reduction and edge.source < 2 else 1, affine=False
            )
            for edge in architecture.cells[layer.cell].edges
        ]
        totals[layer.reduction].append(sum(p.numel() for module in operations for p in module.parameters()))
    expected = float(np.mean(totals[False])) + float(np.mean(totals[True]))
    penalty = Resource("parameters", scale="linear", strength=1.0)
    assert value(penalty, view) == pytest.approx(0.86 * expected)
    penalty(replace(view, expected=draw))
    assert penalty.report() == {"parameters": pytest.approx(sum(totals[False]) + sum(totals[True]))}


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("estimator", ["sample", "expectation"])
def test_the_gradient_is_that_of_finite_differences(scale: Scale, estimator: Any) -> None:
    relaxation = Concrete(deviation=1.0)
    view = a_view(relaxation)
    logits = {kind: table.logits for kind, table in view.choices.items()}
    noise = view.noise[0]
    penalty = Resource("paper", estimator, scale, strength=0.1)

    def cost(*tensors: Tensor) -> Tensor:
        given = dict(zip(logits, tensors, strict=True))
        draw = {kind: relaxation(tensor, MOMENT, noise[kind]) for kind, tensor in given.items()}
        expected = {kind: relaxation.expected(tensor, MOMENT) for kind, tensor in given.items()}
        return penalty(replace(view, mixings=[draw] * 5, expected=expected))

    inputs = tuple(tensor.detach().clone().requires_grad_() for tensor in logits.values())
    assert torch.autograd.gradcheck(cost, inputs, eps=1e-6, atol=1e-6)


def test_the_policy_gradient_is_every_edges_cost_times_its_score() -> None:
    relaxation = Concrete(deviation=1.0)
    view = a_view(relaxation)
    (given,) = torch.autograd.grad(
        Resource("flops", "policy_gradient", strength=0.5, ratio=2.0)(view), dict(view.choices.items())["reduce"].logits
    )
    expected = torch.zeros_like(given)
    table, sample = dict(view.choices.items())["reduce"], view.mixings[0]["reduce"].weights.detach()
    for layer, at in zip(LAYERS, [(12, 8), (12, 8), (6, 4), (6, 4), (3, 2)], strict=True):
        for row, (source, _) in enumerate(CELL.edges):
            if not layer.reduction:
                continue
            place = (2, at) if source < 2 else (1, (at[0] // 2, at[1] // 2))
            costs = [operation_cost(name, layer.channels, *place).flops for name in CELL.operations]
            cost = math.log(max(float(sample[row] @ torch.tensor(costs, dtype=torch.float64)), 1.0))
            density = relaxation.log_density(table, sample, MOMENT)[row]
            (score,) = torch.autograd.grad(density, table.logits)
            expected += 0.5 * 2.0 * cost / 2 * score
    torch.testing.assert_close(given, expected, rtol=1e-9, atol=1e-12)


COSTS = torch.tensor([[900.0, 20.0], [4000.0, 800.0]], dtype=torch.float64)[
    :, None
]  # 2 resources, an edge, 2 candidates
FACTORS = torch.tensor([0.01, 0.002], dtype=torch.float64)


def quadrature(difference: float, temperature: float, scale: Scale) -> float:
    """Return E of the edge's cost by integration: with two candidates Z_1 = sigmoid((d + logistic) / lambda)."""
    t = np.linspace(-40.0, 40.0, 400_001)
    density = np.exp(-np.abs(t)) / (1 + np.exp(-np.abs(t))) ** 2
    first = 1 / (1 + np.exp(-(difference + t) / temperature))
    mixed = FACTORS.numpy()[:, None] * (COSTS.numpy()[:, 0, :1] * first + COSTS.numpy()[:, 0, 1:] * (1 - first))
    cost = np.log(np.maximum(mixed, 1)).mean(axis=0) if scale == "log" else mixed.sum(axis=0)
    return float(np.trapezoid(cost * density, t))


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("estimator", ["sample", "policy_gradient"])
def test_sampled_estimators_have_the_exact_gradient_as_their_mean(scale: Scale, estimator: str) -> None:
    relaxation, samples = Concrete(start=0.8, end=0.8), 40_000
    logits = torch.tensor([[0.4, -0.3]], dtype=torch.float64).repeat(samples, 1).requires_grad_()  # a row is a draw
    noise = relaxation.noise(as_table(logits), torch.Generator().manual_seed(0))
    weights = relaxation(logits, MOMENT, noise).weights
    cost = edge_cost(weights, COSTS, FACTORS, scale)
    if estimator == "policy_gradient":
        cost = score_surrogate(cost, relaxation.log_density(logits, weights, MOMENT))
    (gradients,) = torch.autograd.grad(cost.sum(), logits)
    step = 1e-3
    exact = (quadrature(0.7 + step, 0.8, scale) - quadrature(0.7 - step, 0.8, scale)) / (2 * step)
    error = float(gradients[:, 0].std()) / math.sqrt(samples)
    assert float(gradients[:, 0].mean()) == pytest.approx(exact, abs=3 * error)
    assert 3 * error < 0.1 * abs(exact)
    torch.testing.assert_close(gradients[:, 0], -gradients[:, 1])  # only the difference of the logits matters
    mean = float(cost.detach().mean())
    assert mean == pytest.approx(quadrature(0.7, 0.8, scale), abs=3 * float(cost.detach().std()) / math.sqrt(samples))


def test_the_expectation_is_the_mean_of_many_discrete_samples() -> None:
    relaxation = Concrete(deviation=1.0, hard=True)
    view = a_view(relaxation)
    linear = Resource("paper", "sample", "linear", strength=1.0)
    with torch.no_grad():
        drawn = [float(linear(a_view(relaxation, choices=view.choices, seed=seed))) for seed in range(1, 401)]
        exact = float(Resource("paper", "expectation", "linear", strength=1.0)(view))
    error = float(np.std(drawn)) / math.sqrt(len(drawn))
    assert float(np.mean(drawn)) == pytest.approx(exact, abs=3 * error)


def test_the_policy_gradient_needs_samples_with_a_density() -> None:
    with pytest.raises(InputError, match="relaxation=concrete"):
        Resource(estimator="policy_gradient")(a_view(NoisySoftmax(deviation=1.0)))


def test_a_transit_cell_has_a_constant_cost() -> None:
    view = a_view(Concrete(deviation=1.0))
    mixed = replace(view, mixings=[view.mixings[0], *[one_hot(0)] * 4])
    assert math.isfinite(value(Resource(estimator="policy_gradient"), mixed))
    gradient = torch.autograd.grad(Resource()(mixed), list(view.choices.parameters()), allow_unused=True)
    assert [g is None for g in gradient] == [False, True]


def test_without_reduction_cells_the_normal_ones_count_alone() -> None:
    costs = [torch.tensor(1.0), torch.tensor(3.0)]
    assert float(mean_cost(costs, [Layer("normal", 1, False)] * 2, 5.0)) == 2
    assert float(mean_cost(costs, [Layer("reduce", 1, True)] * 2, 5.0)) == 10
    assert float(mean_cost(costs, [Layer("normal", 1, False), Layer("reduce", 1, True)], 5.0)) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "parameter"}, "Did you mean 'parameters'"),
        ({"estimator": "samples"}, "Did you mean 'sample'"),
        ({"scale": "logs"}, "Did you mean 'log'"),
        ({"strength": -1.0}, "strength is -1.0"),
        ({"ratio": -1.0}, "ratio is -1.0"),
        ({"batch": 0}, "batch is 0"),
        ({"kind": "latency", "scale": "linear"}, "needs a strength"),
    ],
)
def test_wrong_options_are_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Resource(**options)


def test_it_is_for_images_alone() -> None:
    with pytest.raises(InputError, match="networks for images"):
        Resource()(replace(a_view(), input_shape=(35,)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Let every measurement give other milliseconds, and keep them in a folder of the test's."""
    monkeypatch.setenv("ARCHGRAD_CACHE", str(tmp_path))
    measured: list[int] = []

    def measure(run: Any, device: torch.device) -> float:
        run()
        measured.append(len(measured))
        return 1.0 + len(measured) / 16

    monkeypatch.setattr(latency, "measure", measure)
    return measured


def test_a_latency_is_that_of_operations_and_sums_at_the_supernets_sizes(clock: list[int]) -> None:
    view, penalty = a_view(), Resource("latency", scale="linear", strength=1.0, batch=2)
    given = value(penalty, view)
    table = latency.LatencyTable(torch.device("cpu"), 2)
    before = len(clock)
    sums: dict[bool, list[float]] = {False: [], True: []}
    for layer, at in zip(LAYERS, [(12, 8), (12, 8), (6, 4), (6, 4), (3, 2)], strict=True):
        total = 0.0
        for row, (source, _) in enumerate(CELL.edges):
            stride, inside = 1, at
            if layer.reduction:
                stride, inside = (2, at) if source < 2 else (1, (at[0] // 2, at[1] // 2))
            outside = (inside[0] // stride, inside[1] // stride)
            for name, weight in zip(CELL.operations, view.mixings[0][layer.cell].weights[row].tolist(), strict=True):
                if name != "none":
                    milliseconds = table.operation(name, layer.channels, stride, inside)
                    total += weight * (milliseconds + table.sum(layer.channels, outside))
        sums[layer.reduction].append(total)
    assert given == pytest.approx(np.mean(sums[False]) + np.mean(sums[True]))
    assert len(clock) == before  # all came from the cache
    assert set(penalty.report()) == {"milliseconds"}


def test_log_latencies_count_microseconds(clock: list[int]) -> None:
    weights, costs = torch.ones(1, 1), torch.tensor([[[2.0]]])
    factors = Resource("latency")._factors(weights)
    assert float(edge_cost(weights, costs, factors, "log")) == pytest.approx(math.log(2000))


def test_a_resumed_search_counts_the_same_milliseconds(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    view, penalty = a_view(), Resource("latency", batch=2)
    total, measured = value(penalty, view), len(clock)
    again = Resource("latency", batch=2)
    again.load_state_dict(penalty.state_dict())
    monkeypatch.setenv("ARCHGRAD_CACHE", "/nowhere")
    assert value(again, view) == total
    assert len(clock) == measured
    assert again.state_dict() == penalty.state_dict()
    assert Resource().state_dict() == {}


def test_a_search_step_takes_it_and_leaves_random_numbers_alone(clock: list[int]) -> None:
    penalty = Resource("latency", strength=1.0, batch=1)
    state = toy_state(nodes=1, cells=3, relaxation=NoisySoftmax(deviation=0.5), penalties={"resource": penalty})
    problem = next_update(state).problem
    before = torch.get_rng_state()
    gradient = problem.gradient("validation", problem.choices)
    assert torch.equal(torch.get_rng_state(), before)
    assert clock
    assert all(float(g.abs().sum()) > 0 for g in gradient)
    assert penalty.on == "both"
    assert penalty.report()["milliseconds"] > 0


def test_a_stem_that_shrinks_the_images_makes_the_cells_cheaper() -> None:
    large = replace(a_view(), input_shape=(3, 128, 128))
    penalty = Resource(kind="flops", scale="linear")
    plain, shrunk = (float(penalty(replace(large, stem=stem)).detach()) for stem in ("plain", "imagenet"))
    assert shrunk == pytest.approx(plain / 64, rel=1e-6)  # an eighth of each side
