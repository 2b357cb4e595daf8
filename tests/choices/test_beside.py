"""Edge normalisation and the auxiliary skip against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from archgrad.choices import ChoiceTable, Progress, Softmax
from archgrad.choices.beside import EDGES, edge_weights, skip_strength
from archgrad.errors import InputError

GROUPS = (2, 2, 3, 3, 3)
NOW = Progress(elapsed=0.25, epoch=0.5)


def test_edges_into_a_node_share_a_softmax() -> None:
    beta = torch.tensor([0.1, -0.4, 1.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    alive = torch.tensor([True, True, True, False, True])
    powers = np.exp(beta.detach().numpy()) * alive.numpy()
    expected = powers / np.array([powers[:2].sum()] * 2 + [powers[2:].sum()] * 3)
    found = edge_weights(beta, GROUPS, alive)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)
    (gradient,) = torch.autograd.grad(found[0], beta)
    by_hand = np.array([expected[0] * (1 - expected[0]), -expected[0] * expected[1], 0, 0, 0])
    np.testing.assert_allclose(gradient.numpy(), by_hand, rtol=1e-10, atol=1e-15)
    nobody = edge_weights(beta, GROUPS, torch.zeros(5, dtype=torch.bool))
    assert not bool(nobody.any())


def test_a_softmax_with_edges_weighs_operations_by_their_edge() -> None:
    relaxation, plain = Softmax(edges=True), Softmax()
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    table = ChoiceTable(logits, GROUPS, relaxation.extras(GROUPS, 3))
    even = torch.tensor([0.5, 0.5, 1 / 3, 1 / 3, 1 / 3])
    torch.testing.assert_close(relaxation(table, NOW).weights, plain(table, NOW).weights * even[:, None])
    with torch.no_grad():
        table.extras[EDGES].copy_(torch.tensor([3.0, 0.0, 1.0, 0.0, -1.0]))
    found = relaxation.expected(table, NOW).weights
    torch.testing.assert_close(found.sum(dim=1)[:2].sum(), torch.tensor(1.0))
    torch.testing.assert_close(found[0].sum(), torch.tensor(3.0).sigmoid())
    (gradient,) = torch.autograd.grad(found[0, 0], table.extras[EDGES])
    assert bool(gradient[:2].all())


def test_the_auxiliary_skip_fades_and_leaves_dead_edges_alone() -> None:
    assert [skip_strength(1.0, Progress(elapsed=t)) for t in (0.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]
    table = ChoiceTable(torch.zeros(5, 3), GROUPS)
    table.alive[1] = False
    found = Softmax(skip=2.0)(table, NOW)
    torch.testing.assert_close(found.auxiliary, torch.tensor([1.5, 0.0, 1.5, 1.5, 1.5]))
    torch.testing.assert_close(found.weights, Softmax()(table, NOW).weights)
    assert Softmax(skip=2.0)(table, Progress(elapsed=1.0)).auxiliary is None
    with pytest.raises(InputError, match=r"relaxation\.skip is -1; it must be at least 0"):
        Softmax(skip=-1.0)
