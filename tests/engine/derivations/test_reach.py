"""A derived recurrent cell reads its inputs: what a rule keeps stays, and an input that moves nothing gets an edge."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import archgrad
from archgrad.choices import Choices, Mixing, Progress, Softmax, Support, full_support
from archgrad.engine.derivations.derive import TopEdges, architecture_of, derive
from archgrad.engine.derivations.reach import reading_inputs, unread_inputs, with_inputs_read
from archgrad.space.cells import CellSpace
from archgrad.space.darts_rnn import DartsRnnSpace
from archgrad.space.two_input_rnn import TwoInputRnnSpace

SPACE = TwoInputRnnSpace(nodes=2, operations=("none", "tanh", "sigmoid"), output="last")()
CELL, COMBINE = SPACE.cells["recurrent"], SPACE.cells["combine"]
SHAPE = (len(CELL.edges), len(CELL.operations))
rows = st.tuples(*[st.sampled_from([False, False, False, True])] * SHAPE[1])
supports = st.tuples(*[rows] * SHAPE[0])
ways_to_combine = st.tuples(*[st.sampled_from([(True, False), (False, True)])] * COMBINE.nodes)
seeds = st.integers(0, 2**31)


def mixing(seed: int) -> Mixing:
    weights = torch.rand(*SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Mixing(weights, full_support(*SHAPE))


def products(combine: Support) -> frozenset[int]:
    return frozenset(node for node, row in zip(CELL.computed, combine, strict=True) if row[1])


def unread_by_gradients(support: Support, combine: Support) -> tuple[int, ...]:
    """Run the derived network one step and ask which input has a gradient: the data at a state of zero."""
    torch.manual_seed(0)
    network = archgrad.build(architecture_of(SPACE, {"recurrent": support, "combine": combine}), hidden=6, inputs=3)
    data = torch.randn(1, 5, 3, requires_grad=True)
    gradients = []
    for state in (torch.zeros(5, 6, requires_grad=True), torch.randn(5, 6, requires_grad=True)):
        result = (network(data, state)[1] + 0 * (data.sum() + state.sum())).square().sum()
        gradients.append(torch.autograd.grad(result, (data, state)))
    reads_data, reads_state = gradients[0][0].any(), gradients[1][1].any()
    return tuple(node for node, reads in enumerate((reads_data, reads_state)) if not reads)


@given(supports, ways_to_combine)
def test_an_input_is_unread_where_the_network_has_no_gradient_for_it(support: Support, combine: Support) -> None:
    assert unread_inputs(support, CELL, products(combine)) == unread_by_gradients(support, combine)


@given(supports, ways_to_combine, seeds)
def test_every_input_comes_to_be_read_and_nothing_that_was_kept_goes(
    support: Support, combine: Support, seed: int
) -> None:
    unread = unread_inputs(support, CELL, products(combine))
    after = reading_inputs(support, mixing(seed), CELL, products(combine))
    assert all(new[k] for old, new in zip(support, after, strict=True) for k in (1, 2) if old[k])
    if not unread:
        assert after == support
    assert unread_inputs(after, CELL, products(combine)) == unread_by_gradients(after, combine) == ()


@pytest.mark.parametrize("multiplies", [False, True])
def test_what_is_added_is_the_strongest_that_helps(multiplies: bool) -> None:
    weights = torch.zeros(SHAPE, dtype=torch.float64)
    weights[4:, :] = 0.5  # into the last node: rows 4 to 6 feed operand a, 7 to 9 operand b
    weights[4, 1], weights[7, 2] = 0.9, 0.8
    state_alone = tuple((False, source == 1, False) for source, _ in CELL.edges)
    last = frozenset({CELL.computed[-1]}) if multiplies else frozenset()
    after = reading_inputs(state_alone, Mixing(weights, full_support(*SHAPE)), CELL, last)
    added = [(row, k) for row in range(SHAPE[0]) for k in range(3) if after[row][k] != state_alone[row][k]]
    assert added == ([(4, 1), (7, 2)] if multiplies else [(4, 1)])


def test_an_input_of_which_nothing_is_alive_stays_unread() -> None:
    alive = tuple((source != 0,) * SHAPE[1] for source, _ in CELL.edges)
    nothing = ((True, False, False),) * SHAPE[0]
    after = reading_inputs(nothing, Mixing(mixing(0).weights, alive), CELL)
    assert unread_inputs(after, CELL) == (0,)


def test_a_cell_of_darts_without_any_edge_gets_one() -> None:
    cell = DartsRnnSpace(nodes=2)().cells["recurrent"]
    shape = (len(cell.edges), len(cell.operations))
    none = tuple((True, *(False,) * (shape[1] - 1)) for _ in range(shape[0]))
    after = reading_inputs(none, Mixing(torch.ones(shape), full_support(*shape)), cell)
    assert after == ((False, True, *(False,) * (shape[1] - 2)), *none[1:])


def test_cells_for_images_may_leave_an_input_out() -> None:
    cell = CellSpace(2, 1, ("skip",))
    support = ((True,), (False,))
    assert reading_inputs(support, Mixing(torch.ones(2, 1), full_support(2, 1)), cell) == support


def test_a_search_that_prefers_the_state_everywhere_still_gives_a_cell_that_sees_the_data() -> None:
    space = TwoInputRnnSpace(nodes=3)()
    choices = Choices(space, Softmax(), torch.Generator().manual_seed(0))
    table = dict(choices.items())["recurrent"]
    with torch.no_grad():
        for row, (source, _) in enumerate(space.cells["recurrent"].edges):
            table.logits[row, 1] = 5.0 if source == 1 else 0.0
    found = derive(choices, Softmax(), Progress(0, 0), TopEdges(k=1), space)
    network = archgrad.build(found, hidden=4, inputs=2)
    sequence = torch.randn(5, 3, 2, requires_grad=True)
    network(sequence)[0].sum().backward()
    assert sequence.grad is not None and bool((sequence.grad != 0).any(dim=-1).all())


def test_the_supports_of_all_kinds_are_made_fit_together() -> None:
    combine = ((False, True),) * COMBINE.nodes
    state_alone = tuple((False, source == 1, False) for source, _ in CELL.edges)
    expected = {"recurrent": mixing(1), "combine": Mixing(torch.ones(2, 2), full_support(2, 2))}
    read = with_inputs_read({"recurrent": state_alone, "combine": combine}, expected, SPACE)
    assert read["combine"] == combine
    assert unread_by_gradients(read["recurrent"], combine) == ()
