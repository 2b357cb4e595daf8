"""Random children are dealt out among what runs, and all three figures come from the same estimation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_state import same
from tests.engine.toys import toy_state

from archgrad.choices import Concrete, Mixing, Sparse
from archgrad.choices.mixing import support_of
from archgrad.engine import ArgmaxPerEdge, Joint, NonZero, TopEdges
from archgrad.engine.children import children, random_child, shuffled
from archgrad.engine.derivations.derive import expected_mixings
from archgrad.engine.update import Streams, update
from archgrad.space.cells import CellSpace

CELL = CellSpace(2, 3, ("none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_weights_into_a_node_are_dealt_out_among_what_is_alive(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    alive = torch.rand(9, 4, generator=generator) < 0.7
    weights = torch.rand(9, 4, generator=generator) * alive * (torch.rand(9, 4, generator=generator) < 0.5)
    dealt = shuffled(Mixing(weights, support_of(weights > 0)), alive, CELL, generator)
    assert dealt.support == support_of(dealt.weights > 0)
    assert not bool(dealt.weights[~alive].any())
    for target in (2, 3, 4):
        into = torch.tensor([group == target for group in CELL.groups])
        assert sorted(dealt.weights[into].flatten().tolist()) == sorted(weights[into].flatten().tolist())


@pytest.mark.parametrize("rule", [TopEdges(), ArgmaxPerEdge(), NonZero()])
def test_random_children_differ_and_have_as_much_in_them_as_the_rule_keeps(rule: TopEdges) -> None:
    state = toy_state(nodes=2, relaxation=Concrete(deviation=0.5), schedule=Joint(), derivation=rule)
    expected = expected_mixings(state.choices, state.parts.relaxation, state.progress_after(1))
    generator = torch.Generator().manual_seed(0)
    found = [random_child(expected, state, generator) for _ in range(6)]
    assert all(set(child) == set(state.parts.space.cells) for child in found)
    supports = {tuple(mixing.support for mixing in child.values()) for child in found}
    assert isinstance(rule, NonZero) or len(supports) > 1  # everything is above zero in a softmax
    counts = {sum(map(sum, mixing.support)) for child in found for mixing in child.values()}
    assert len(counts) == 1


def test_what_a_threshold_cut_off_is_dealt_out_too() -> None:
    state = toy_state(nodes=2, relaxation=Sparse(threshold=0.9, deviation=1.0), derivation=NonZero())
    expected = expected_mixings(state.choices, state.parts.relaxation, state.progress_after(1))
    generator = torch.Generator().manual_seed(0)
    found = [random_child(expected, state, generator) for _ in range(6)]
    supports = [tuple(mixing.support for mixing in child.values()) for child in found]
    assert len(set(supports)) > 1
    cut = [~torch.tensor(mixing.support) for mixing in expected.values()]
    assert any(
        bool((torch.tensor(support) & off).any()) for each in supports for support, off in zip(each, cut, strict=True)
    )


def test_children_are_judged_and_nothing_of_the_search_changes() -> None:
    state = toy_state(nodes=2, relaxation=Concrete(), schedule=Joint(), derivation=ArgmaxPerEdge())
    streams = Streams(state)
    for _ in range(2):
        update(state, streams)
    state.epoch = 1
    before = {key: value for key, value in state.state_dict().items() if key != "generators"}
    generator = state.generator.get_state()
    found = children(state, 3)
    assert len(found["random"]) == 3
    for metrics in (found["supernet"], found["derived"], found["derived_weighted"], *found["random"]):
        assert 0 <= metrics["accuracy"] <= 1
    assert found == children(state, 3)
    assert same(before, {key: value for key, value in state.state_dict().items() if key != "generators"})
    assert torch.equal(generator, state.generator.get_state())
