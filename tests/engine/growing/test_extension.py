"""A search that grows: one mechanism extends supernet, choices, optimisers and what a checkpoint says of the space."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
import torch
from tests.engine.growing.test_morphisms import options_of, stepped
from tests.engine.growing_toys import growing_search, output_of, scramble
from tests.engine.test_state import same

from archgrad.choices import Clipped, Concrete, Sparse
from archgrad.engine.derivations.derive import TopEdges
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.engine.growing.extension import Growing, extend, fix_choices, grow, mixed_edges
from archgrad.engine.growing.growth import Growth, Mode
from archgrad.engine.loop import run_search
from archgrad.engine.penalties.admm import Admm
from archgrad.engine.penalties.proximity import Proximity
from archgrad.engine.schedules.schedule import Joint
from archgrad.engine.sums import Sums
from archgrad.engine.update import Streams, update
from archgrad.optimisers import named_state
from archgrad.runs.tree import join, split
from archgrad.space.change import Change


def growing_of(state: Any) -> Growing:
    growing = state.growing
    assert isinstance(growing, Growing)
    return growing


def updated(state: Any, count: int = 2) -> Any:
    streams = Streams(state)
    for _ in range(count):
        update(state, streams)
    state.sums = Sums()  # as at the end of an epoch
    return state


def searched(state: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []

    def emit(kind: str, _: Any, record: dict[str, Any]) -> None:
        if kind == "grown":
            events.append(record)

    run_search(state, emit, {})
    return events


STEPS = [("darts", "node"), ("darts", "cell"), ("darts-rnn", "split"), ("two-input-rnn", "hadamard")]


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_through_a_checkpoint_a_grown_search_is_the_same(name: str, step: str) -> None:
    options, cells = options_of(name), 2
    state = updated(growing_search(name, options=options, cells=cells))
    before = output_of(state, training=True)
    stepped(state, step)
    other = growing_search(name, options=options, cells=cells)
    other.load_state_dict(join(*split(state.state_dict())))
    assert same(other.state_dict(), state.state_dict())
    assert float((output_of(other, training=True) - before).abs().max()) < 1e-5
    assert growing_of(other).form == growing_of(state).form
    updated(state, 1), updated(other, 1)
    assert same(other.state_dict(), state.state_dict())


def test_old_entries_keep_values_and_moments_and_new_ones_start_fresh() -> None:
    state = updated(growing_search("darts", cells=1), 1)
    cell = state.parts.space.cells["normal"]
    weights = {name: value.detach().clone() for name, value in state.weights.items()}
    memory = copy.deepcopy(named_state(state.weight_optimizer, state.weights))
    table = dict(state.choices.items())["normal"]
    logits = table.logits.detach().clone()
    adam = copy.deepcopy(state.choice_optimizer.state[table.logits])
    stepped(state, "split")
    m = _new_node(state)
    now = dict(state.choices.items())["normal"]
    grown = state.parts.space.cells["normal"]
    moments = state.choice_optimizer.state[now.logits]
    assert float(moments["step"]) == float(adam["step"])
    for row, (source, target) in enumerate(grown.edges):
        if m in (source, target):
            if float(moments["exp_avg"][row].abs().sum()) != 0.0:
                raise AssertionError("what is new, copies too, has no moments")
            continue
        old = cell.edges.index((source - (source > m), target - (target > m)))
        assert torch.equal(now.logits[row].detach(), logits[old])
        assert torch.equal(moments["exp_avg"][row], adam["exp_avg"][old])
        slot, was = grown.slot(row), cell.slot(old)
        name = "storage.{}_sep_conv_3x3.operation.1.weight"
        new_name = f"cells.0.{name.format(source)}"
        old_name = f"cells.0.{name.format(cell.edges[old][0])}"
        assert torch.equal(state.weights[new_name][slot].detach(), weights[old_name][was])
        buffer = state.weight_optimizer.state[state.weights[new_name]]["momentum_buffer"]
        assert torch.equal(buffer[slot], memory[old_name]["momentum_buffer"][was])


def _new_node(state: Any) -> int:
    """Return where the split put the new node of the normal cell."""
    table = dict(state.choices.items())["normal"]
    cell = state.parts.space.cells["normal"]
    young = [edge for row, edge in enumerate(cell.edges) if bool(table.young[row])]
    return max(range(9), key=lambda node: sum(node in edge for edge in young))


def test_gates_open_within_the_ramp_and_then_nothing_of_them_is_left() -> None:
    state = growing_search("two-input-rnn", growth=Growth(start=2, limit=3, every=1, ramp=1.0), epochs=4)
    gates: list[float] = []
    original = state.step

    def emit(kind: str, s: Any, record: Any) -> None:
        if kind == "step" and "core.cell.gate" in s.weights:
            gates.append(float(s.weights["core.cell.gate"].detach()))

    run_search(state, emit, {})
    assert original == 0
    assert len(gates) == 3  # the steps of one epoch
    assert gates == sorted(gates)
    assert gates[0] >= 1 / 3 - 1e-6
    assert gates[-1] == 1.0
    assert "core.cell.gate" not in state.weights
    assert all(table.young is None and table.gate is None for _, table in state.choices.items())
    assert growing_of(state).form.young_nodes == ()


def test_growing_up_changes_nothing_once_the_gates_are_open() -> None:
    for name, step in (("darts", "cell"), ("darts", "candidate:sep_conv_5x5"), ("darts-rnn", "split")):
        state = growing_search(name, options=options_of(name))
        scramble(state)
        stepped(state, step)
        named = {**state.weights, **dict(state.choices.named_parameters())}
        with torch.no_grad():
            for key, value in named.items():
                if key.endswith("gate") or key.startswith("gates."):
                    value.fill_(1.0)
        before = output_of(state)
        form = growing_of(state).form
        extend(state, Change.between(form, form.grown_up))
        assert torch.equal(output_of(state), before)


def test_in_grow_and_prune_the_mixed_edges_stay_linear_in_the_nodes() -> None:
    counts: dict[str, list[int]] = {}
    for mode in get_args(Mode):
        growth = Growth(start=1, limit=5, mode=mode)
        state = growing_search("darts", growth=growth, cells=1)
        counts[mode] = []
        for _ in range(4):
            if mode == "grow-and-prune":
                fix_choices(state)
            stepped(state, "node")
            counts[mode].append(mixed_edges(state.choices) // 2)  # two kinds of cells
    assert counts["grow-then-prune"] == [5, 9, 14, 20]  # all edges: n (n + 3) / 2
    assert counts["grow-and-prune"] == [3, 4, 5, 6]  # the new node's: n + 1


def test_what_was_fixed_is_what_is_derived_at_the_end() -> None:
    growth = Growth(start=1, limit=3, every=1, ramp=1.0, until=1.0, mode="grow-and-prune")
    state = growing_search("darts-rnn", growth=growth, epochs=5)
    cells = []
    run_search(state, lambda kind, s, record: cells.append(record["architecture"]) if kind == "epoch" else None, {})
    kept = [[edge for edge in cell["cells"]["recurrent"]["edges"] if edge[1] == 1] for cell in cells]
    assert all(edges == kept[0] for edges in kept[1:])
    assert cells[-1]["cells"]["recurrent"]["nodes"] == 3


def test_a_growth_that_does_not_pay_is_undone() -> None:
    growth = Growth(start=1, limit=3, every=1, until=1.0, roll_back=True, grace=2)
    state = growing_search("darts", growth=growth, cells=1, epochs=5)
    losses = iter([1.0, 2.0, 2.0, 2.0, 2.0])
    events: list[dict[str, Any]] = []

    def emit(kind: str, s: Any, record: dict[str, Any]) -> None:
        if kind == "epoch":
            s.growing.losses[-1] = next(losses)
        if kind == "grown":
            events.append(record)

    run_search(state, emit, {})
    assert [event["what"] for event in events] == ["grown", "undone"]
    assert [event["epoch"] for event in events] == [1, 3]
    assert state.parts.space.cells["normal"].nodes == 1
    assert growing_of(state).before is None


def test_the_young_are_not_pruned() -> None:
    state = growing_search("darts", relaxation=Clipped(), options={"none": False})
    stepped(state, "node")
    table = dict(state.choices.items())["normal"]
    with torch.no_grad():
        table.logits.fill_(-0.1)
    state.parts.relaxation.settle(table)
    young = table.young
    assert young is not None
    assert bool(table.alive[young].all())
    assert float(table.logits[young].detach().min()) == 0.0
    assert int(table.alive[~young].sum()) == 2  # of every older node the last one

    state = growing_search("darts", relaxation=Sparse(start=1.0, end=1.0, threshold=0.97))
    scramble(state)
    stepped(state, "node")
    table = dict(state.choices.items())["normal"]
    support = torch.tensor(state.parts.relaxation(table, state.progress).support)
    young = table.young
    assert young is not None
    assert bool(support[young].any(dim=1).all())
    assert not bool(support[~young].any(dim=1).all())


@pytest.mark.parametrize(
    ("case", "mode"),
    [
        ({"relaxation": Clipped(), "penalties": {"a": Admm(every=1)}, "options": {"none": False}}, "grow-then-prune"),
        ({"relaxation": Sparse(), "derivation": NonZero(), "penalties": {"p": Proximity()}}, "grow-and-prune"),
        ({"relaxation": Concrete(), "schedule": Joint(), "share": True}, "grow-and-prune"),
    ],
)
def test_growth_combines_with_the_other_parts(case: dict[str, Any], mode: Any) -> None:
    growth = Growth(start=1, limit=3, every=1, until=1.0, mode=mode, steps=("split", "candidate:sep_conv_5x5"))
    state = growing_search("darts", growth=growth, cells=1, epochs=4, **case)
    events = searched(state)
    assert [event["step"] for event in events] == ["split", "candidate"]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in state.choices.parameters())
    assert state.parts.space.cells["normal"].nodes == 2


def test_growth_happens_once_between_two_epochs() -> None:
    state = growing_search("darts", growth=Growth(start=1, limit=2, every=1, until=1.0), cells=1)
    assert grow(state) == []
    updated(state)
    state.epoch = 1
    copied = growing_search("darts", growth=Growth(start=1, limit=2, every=1, until=1.0), cells=1)
    copied.load_state_dict(join(*split(state.state_dict())))
    (event,) = grow(state)
    assert grow(copied) == [event]
    assert same(copied.state_dict(), state.state_dict())
    assert event["before"]["cells"]["normal"]["nodes"] == 1
    assert event["after"]["cells"]["normal"]["nodes"] == 2
    assert grow(state) == []
    assert mixed_edges(state.choices) == event["after"]["mixed_edges"]
    assert isinstance(state.parts.derivation, TopEdges)
