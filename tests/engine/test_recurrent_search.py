"""Searching a recurrent cell: the engine's parts work on time steps and combiners as they do on layers and edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from tests.engine.test_hypergradient import flat, relative
from tests.engine.toys import next_update
from torch import Tensor
from torch.nn import functional as F

from archgrad import registry, space
from archgrad.choices import Choices, Relaxation, Softmax
from archgrad.engine.derivations.derive import TopEdges
from archgrad.engine.evaluate import child_metrics, child_mixings
from archgrad.engine.hypergradient import FirstOrder, Hypergradient, Unrolled
from archgrad.engine.loop import run_search
from archgrad.engine.penalties.penalty import Penalty
from archgrad.engine.penalties.proximity import Proximity
from archgrad.engine.schedules.schedule import Always
from archgrad.engine.state import Batch, Parts, SearchState
from archgrad.engine.update import Streams, update
from archgrad.network.heads import ForecastEnds
from archgrad.runs.parts import build_part
from archgrad.runs.settings import ChoiceSettings, WeightSettings
from archgrad.supernet import AllEngines
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.supernet.recurrent.supernet import RecurrentSupernet

SPACES = ("darts-rnn", "two-input-rnn")


class Waves:
    """Windows of two sine waves of a random phase and what comes next; batch i of a part is a function of both."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def item(self, part: str, index: int) -> Batch:
        generator = torch.Generator().manual_seed(97 * index + len(part))
        phase = torch.rand(16, 1, 1, generator=generator, dtype=torch.float64)
        time = torch.arange(7).view(1, -1, 1)
        both = torch.sin(6.28 * phase + time * torch.tensor([0.7, 1.1])).to(self.dtype)
        return both[:, :5], both[:, 5:, :1]

    def steps(self, part: str) -> int:
        return 3

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        while True:
            yield self.item(part, start)
            start += 1

    def once(self, part: str) -> Iterator[Batch]:
        yield from (self.item(part, 1000 + index) for index in range(2))


class SquaredError:
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target)

    def evaluate(self, network: Callable[[Tensor], Tensor], batches: Iterable[Batch]) -> dict[str, float]:
        errors = [F.mse_loss(network(x), y) for x, y in batches]
        return {"loss": float(torch.stack(errors).mean())}


def wave_search(
    name: str,
    *,
    nodes: int = 2,
    dtype: torch.dtype = torch.float32,
    relaxation: Relaxation | None = None,
    hypergradient: Hypergradient | None = None,
    penalties: Mapping[str, Penalty] | None = None,
    layout: Any = None,
    derivation: Any = None,
    epochs: int = 2,
    hidden: int = 4,
    **weights: Any,
) -> SearchState:
    torch.manual_seed(0)
    relaxation, found = relaxation or Softmax(deviation=0.5), space.get(name, nodes=nodes)
    core = RecurrentSupernet(found, inputs=2, hidden=hidden, steps=5)
    supernet = ForecastSupernet(core, ForecastEnds(2, hidden, horizon=2, targets=[0]))
    choices = Choices(found, relaxation, torch.Generator().manual_seed(0))
    parts = Parts(
        space=found,
        relaxation=relaxation,
        layout=layout or AllEngines(),
        schedule=Always(),
        hypergradient=hypergradient or FirstOrder(),
        penalties=penalties or {},
        derivation=derivation or TopEdges(k=1),
        task=SquaredError(),
        data=Waves(dtype),
        weights=WeightSettings(**weights),
        choices=ChoiceSettings(rate=0.05),
        epochs=epochs,
    )
    return SearchState(parts, supernet.to(dtype), choices.to(dtype))


@pytest.mark.parametrize("name", SPACES)
def test_the_gradient_of_the_choices_is_that_of_the_loss(name: str) -> None:
    state = wave_search(name, nodes=1 if name == "two-input-rnn" else 2, dtype=torch.float64)
    problem = next_update(state).problem
    found = flat(FirstOrder()(problem))
    differences = []
    with torch.no_grad():
        for choice in problem.choices:
            for entry in range(choice.numel()):
                values = []
                for step in (1e-6, -1e-6):
                    choice.view(-1)[entry] += step
                    problem.losses.clear()
                    with torch.enable_grad():
                        problem.gradient("validation", problem.choices)
                    values.append(problem.losses["validation"])
                    choice.view(-1)[entry] -= step
                differences.append((values[0] - values[1]) / 2e-6)
    assert relative(found, torch.tensor(differences, dtype=torch.float64)) < 1e-6


@pytest.mark.parametrize("name", SPACES)
def test_the_unrolled_gradient_looks_ahead(name: str) -> None:
    state = wave_search(name, dtype=torch.float64, rate=0.3)
    update(state, Streams(state))  # so that there is momentum
    problem = next_update(state).problem
    exact, finite, first = (
        flat(method(problem)) for method in (Unrolled(method="autograd"), Unrolled(epsilon=1e-5), FirstOrder())
    )
    print(f"\n{name}: finite differences against autograd {relative(finite, exact):.1e}")
    assert relative(finite, exact) < 1e-3
    assert relative(first, exact) > 1e-2


@pytest.mark.parametrize("layout", registry.names("layout"))
@pytest.mark.parametrize("relaxation", registry.names("relaxation"))
@pytest.mark.parametrize("name", SPACES)
def test_every_relaxation_and_layout_searches_a_cell(name: str, relaxation: str, layout: str) -> None:
    records: list[dict[str, Any]] = []
    state = wave_search(
        name,
        relaxation=build_part("relaxation", {"name": relaxation}),
        layout=build_part("layout", {"name": layout}),
        penalties={"proximity": Proximity()},
        epochs=1,
    )
    before = [table.logits.detach().clone() for _, table in state.choices.items()]
    run_search(state, lambda kind, state, record: records.append(record) if kind == "epoch" else None, {})
    assert records[0]["validation"]["loss"] < 10
    after = [table.logits for _, table in state.choices.items()]
    assert not any(torch.equal(one, two) for one, two in zip(before, after, strict=True))  # the combiners learn too
    cell = records[0]["architecture"]["cells"]["recurrent"]
    into = Counter((target, *operand) for _, target, _, *operand in cell["edges"])
    assert len(into) == 2 * (1 + (name == "two-input-rnn"))
    more = [target for target, edges in into.items() if edges > 1]  # one a node or operand, but for an unread input
    assert len(cell["edges"]) <= len(into) + (2 if name == "two-input-rnn" else 0)
    assert all(any((edge[1], *edge[3:]) == target and edge[0] < 2 for edge in cell["edges"]) for target in more)
    assert set(records[0]["weights"]) == set(state.parts.space.cells)


@pytest.mark.parametrize("rule", registry.names("derivation"))
@pytest.mark.parametrize("name", SPACES)
def test_every_rule_derives_a_child(name: str, rule: str) -> None:
    state = wave_search(name, derivation=build_part("derivation", {"name": rule}))
    for weighted in (False, True):
        mixings = child_mixings(state, state.progress, weighted)
        assert child_metrics(state, mixings)["loss"] < 100


@pytest.mark.parametrize("name", SPACES)
def test_what_a_step_does_not_run_keeps_its_weights(name: str) -> None:
    state = wave_search(name, decay=0.1)
    assert isinstance(state.supernet, ForecastSupernet)
    table = dict(state.choices.items())["recurrent"]
    last = torch.tensor([group == max(table.groups) for group in table.groups])
    table.alive[last] = False
    weight = state.supernet.core.cell.weight
    before = weight.detach().clone()
    for _ in range(2):
        update(state, Streams(state))
    assert torch.equal(weight[-1], before[-1])
    assert not torch.equal(weight[:-1], before[:-1])


@pytest.mark.parametrize("name", SPACES)
def test_a_search_learns(name: str) -> None:
    state = wave_search(name, hidden=16, rate=0.05)
    streams = Streams(state)
    losses = [update(state, streams).problem.losses["train"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
