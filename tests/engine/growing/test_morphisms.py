"""Every growth step leaves what the supernet computes as it was, and everything new can learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.engine.growing_toys import growing_search, output_of, scramble

from archgrad import registry
from archgrad.choices import Clipped, Concrete, Softmax, Sparse
from archgrad.engine.growing.extension import grow_by
from archgrad.errors import InputError
from archgrad.supernet import EnginesAt

IMAGE_STEPS = ("node", "split", "candidate:sep_conv_5x5", "cell")
RECURRENT_STEPS = ("node", "split", "candidate:identity", "hadamard")
ACTIVATIONS = ("none", "tanh", "sigmoid")  # without relu, whose dead units a batch norm blows rounding errors up with
CASES = [("darts", step) for step in IMAGE_STEPS]
CASES += [("darts-rnn", step) for step in RECURRENT_STEPS if step != "hadamard"]
CASES += [("two-input-rnn", step) for step in RECURRENT_STEPS]


def options_of(name: str) -> dict[str, Any]:
    options: dict[str, Any] = {} if name == "darts" else {"operations": ACTIVATIONS}
    return options | ({"combiners": ("add",)} if name == "two-input-rnn" else {})


def stepped(state: Any, step: str) -> Any:
    name, _, word = step.partition(":")
    change = grow_by(state, registry.get("morphism", name), word)
    assert change is not None
    return change


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize(("name", "step"), CASES)
def test_a_step_changes_nothing(name: str, step: str, dtype: torch.dtype, tolerance: float) -> None:
    state = growing_search(
        name, dtype=dtype, options=options_of(name), cells=2 if step == "cell" else 3 if step == "node" else 1
    )
    scramble(state)
    ways = [(evaluation, training) for evaluation in ("reference", "fast") for training in (False, True)]
    before = [output_of(state, training, evaluation) for evaluation, training in ways]
    assert float(before[0].std()) > 0.01
    stepped(state, step)
    for (evaluation, training), was in zip(ways, before, strict=True):
        assert float((output_of(state, training, evaluation) - was).abs().max()) < tolerance, (evaluation, training)


@pytest.mark.parametrize(
    "relaxation", [Softmax(deviation=0.5), Clipped(), Concrete(), Sparse(start=1.0, end=1.0, threshold=0.6)]
)
@pytest.mark.parametrize(
    ("name", "step"), [("darts", "split"), ("darts", "candidate:sep_conv_5x5"), ("two-input-rnn", "hadamard")]
)
@pytest.mark.parametrize("layout", [EnginesAt(layers=(0,))])
def test_for_every_relaxation_and_with_transit_cells(relaxation: Any, name: str, step: str, layout: Any) -> None:
    if layout is not None and name != "darts":
        layout = EnginesAt(last=0.4)
    options = options_of(name)
    if isinstance(relaxation, Clipped) and name == "darts":
        options["none"] = False
    state = growing_search(name, relaxation=relaxation, layout=layout, options=options, dtype=torch.float64, cells=2)
    scramble(state)
    if isinstance(relaxation, Clipped):
        with torch.no_grad():
            for _, table in state.choices.items():
                table.logits[0, 0] = -0.1  # dead by now
                relaxation.settle(table)
    before = output_of(state, training=True)
    stepped(state, step)
    assert float((output_of(state, training=True) - before).abs().max()) < 1e-12


@pytest.mark.parametrize(("name", "step"), CASES)
def test_everything_new_can_learn(name: str, step: str) -> None:
    state = growing_search(name, options=options_of(name), cells=2)
    scramble(state)
    shapes = {key: value.shape for key, value in state.weights.items()}
    stepped(state, step)
    output = output_of(state, training=True, gradients=True)
    named = {**state.weights, **dict(state.choices.named_parameters())}
    there = {*state.supernet.kinds, *state.parts.space.combiners}  # type: ignore[misc]
    gates = {key: value for key, value in named.items() if key.endswith("gate") or key.startswith("gates.")}
    gates = {key: value for key, value in gates.items() if not key.startswith("tables") or key.split(".")[1] in there}
    columns = {
        key: value
        for key, value in state.weights.items()
        if ("preprocess" in key or key == "classifier.weight") and key in shapes and shapes[key] != value.shape
    }
    new = gates | columns
    assert new
    gradients = torch.autograd.grad(output.square().sum(), list(new.values()))
    for (key, value), gradient in zip(new.items(), gradients, strict=True):
        if key in gates:
            assert abs(float(gradient)) > 0, key
            assert float(value.detach()) == 0.0
        else:  # a column for every channel of the new node
            fresh = (value == 0).all(dim=0).flatten()
            assert int(fresh.sum()) == value.shape[1] - shapes[key][1]
            assert bool(gradient.abs().sum(dim=0).flatten()[fresh].all()), key


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize(
    ("name", "step"), [("darts", "wider:3"), ("darts-rnn", "wider:7"), ("two-input-rnn", "wider:5")]
)
def test_wider_changes_nothing_but_rounding_and_the_copies_part(
    name: str, step: str, dtype: torch.dtype, tolerance: float
) -> None:
    state = growing_search(name, dtype=dtype, options=options_of(name), cells=3)
    scramble(state)
    ways = [(evaluation, training) for evaluation in ("reference", "fast") for training in (False, True)]
    before = [output_of(state, training, evaluation) for evaluation, training in ways]
    stepped(state, step)
    for (evaluation, training), was in zip(ways, before, strict=True):
        largest = float((output_of(state, training, evaluation) - was).abs().max() / was.abs().max())
        assert largest < tolerance, (evaluation, training)
    if dtype == torch.float64:  # a unit and its copy have unequal gradients, so they do not stay alike
        makers = {"darts": "cells.0.preprocess.1.1.weight", "darts-rnn": "core.cell.enter"}
        weight = state.weights[makers.get(name, "core.cell.enter_h")]
        (gradient,) = torch.autograd.grad(output_of(state, True, gradients=True).square().sum(), weight)
        units = gradient.flatten(1) if name == "darts" else gradient.T
        assert len({tuple(unit.tolist()) for unit in units}) == len(units)


@pytest.mark.parametrize(
    ("name", "step", "message"),
    [
        ("darts", "hadamard", "two operands"),
        ("darts-rnn", "cell", "one cell over time"),
        ("darts", "candidate:convolution", "Unknown operation"),
        ("darts", "node:3", "no word"),
    ],
)
def test_what_a_step_cannot_do_is_refused(name: str, step: str, message: str) -> None:
    state = growing_search(name)
    with pytest.raises(InputError, match=message):
        stepped(state, step)


def test_a_candidate_that_is_there_already_is_nothing_to_add() -> None:
    state = growing_search()
    assert grow_by(state, registry.get("morphism", "candidate"), "sep_conv_3x3") is None
