"""The strongest candidate of every edge, whatever it is."""

from __future__ import annotations

import torch

from archgrad.choices import Choices, Concrete, Mixing, Progress, full_support
from archgrad.engine import ArgmaxPerEdge, derive
from archgrad.engine.derivations.derive import architecture_of
from archgrad.network.build import build
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DARTS_OPERATIONS, DartsSpace

CELL = CellSpace(2, 2, ("none", "skip_connect", "sep_conv_3x3"))


def test_every_edge_keeps_its_strongest_candidate_and_none_counts() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.4, 0.4], [0.0, 0.1, 0.9], [0.3, 0.6, 0.1]])
    support = ArgmaxPerEdge()(Mixing(weights, full_support(5, 3)), CELL)
    assert [row.index(True) for row in support] == [0, 2, 1, 2, 1]
    assert all(sum(row) == 1 for row in support)


def test_what_does_not_run_is_not_kept() -> None:
    weights = torch.tensor([[0.0, 0.3, 0.7]] * 5)
    running = ((True, True, False),) * 4 + ((False, False, False),)
    support = ArgmaxPerEdge()(Mixing(weights, running), CELL)
    assert support == ((False, True, False),) * 4 + ((False, False, False),)


def test_nodes_may_have_many_inputs_or_none_and_the_network_still_runs() -> None:
    space = DartsSpace(pool_norm=True)()
    choices = Choices(space, Concrete(deviation=0.0), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for _, table in choices.items():
            table.logits[:, DARTS_OPERATIONS.index("sep_conv_3x3")] += 1.0
            table.logits[:2, DARTS_OPERATIONS.index("none")] += 2.0  # both edges into node 2
    architecture = derive(choices, Concrete(), Progress(1.0, 1.0), ArgmaxPerEdge(), space, {})
    for cell in architecture.cells.values():
        counts = [sum(edge.target == node for edge in cell.edges) for node in (2, 3, 4, 5)]
        assert counts == [0, 3, 4, 5]
    network = build(architecture, cells=3, channels=4, in_channels=3, classes=5)
    out = network(torch.rand(2, 3, 16, 16))
    assert out.shape == (2, 5)
    assert bool(torch.isfinite(out).all())
    assert architecture == architecture_of(
        space,
        {k: ArgmaxPerEdge()(Concrete().expected(t, Progress()), space.cells[k]) for k, t in choices.items()},
        made_by={},
    )
