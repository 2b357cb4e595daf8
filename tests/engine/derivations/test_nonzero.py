"""What has a weight above zero is the architecture: any number of inputs, several operations on an edge."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from archgrad.choices import Choices, Mixing, Progress, Sparse
from archgrad.choices.mixing import support_of
from archgrad.engine.derivations.derive import architecture_of, expected_mixings, project
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DartsSpace

CELL = CellSpace(2, 2, ("none", "skip", "conv"))
ROWS = len(CELL.edges)


@given(st.integers(0, 2**31))
def test_exactly_what_is_above_zero_stays(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(ROWS, 3, generator=generator).requires_grad_()
    runs = torch.rand(ROWS, 3, generator=generator) < 0.5
    kept = torch.tensor(NonZero()(Mixing(weights * runs, support_of(runs)), CELL))
    assert torch.equal(kept[:, 1:], runs[:, 1:])
    assert not bool(kept[:, 0].any())  # "none" is no connection


def test_a_weight_of_zero_inside_the_support_is_left_out() -> None:
    weights = torch.zeros(ROWS, 3)
    weights[4, 2] = 1e-30
    found = NonZero()(Mixing(weights, ((True,) * 3,) * ROWS), CELL)
    assert [(row, k) for row in range(ROWS) for k in range(3) if found[row][k]] == [(4, 2)]


def test_several_operations_on_an_edge_reach_the_architecture() -> None:
    space, sparse = DartsSpace(none=False, nodes=2)(), Sparse()
    choices = Choices(space, sparse, torch.Generator().manual_seed(0))
    supports = project(expected_mixings(choices, sparse, Progress(epoch=0.02)), NonZero(), space)
    cell = architecture_of(space, supports).cells["normal"]
    assert len(cell.edges) == 5 * 7  # at the start all candidates of all edges
    assert len([edge for edge in cell.edges if (edge.source, edge.target) == (0, 2)]) == 7
