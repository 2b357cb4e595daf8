"""Each derivative that the fast evaluation writes down is that of the formula beside it, and it keeps little."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from archgrad import space
from archgrad.choices import Choices, Mixing, Progress, Softmax
from archgrad.supernet.memory import saved_bytes
from archgrad.supernet.recurrent.by_source import scaled, sources_of
from archgrad.supernet.recurrent.rules import Highway, Rule, Shares, TwoInput
from archgrad.supernet.recurrent.supernet import RecurrentSupernet

OPERATIONS = [("tanh", "relu", "sigmoid", "identity"), ("identity", "tanh"), ("sigmoid",)]


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("operations", OPERATIONS)
@pytest.mark.parametrize("rule", [Highway(), TwoInput()], ids=["highway", "two-input"])
def test_what_a_source_gives_has_the_derivative_that_is_written(rule: Rule, operations: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    state, table = drawn(5, 4), drawn(3, len(operations))
    projected, gradient = [drawn(3, 5, 4) for _ in range(rule.blocks)], drawn(3, 5, 4).detach()
    shares = Shares.of(table, operations)
    given, kept = rule.given(state, projected, shares)
    assert len(kept) == rule.kept
    expected = torch.autograd.grad(given, [*projected, state, table], gradient, allow_unused=True)
    with torch.no_grad():
        to_projected, to_state, to_table = rule.given_backward(state, kept, shares, gradient, True)
    for mine, theirs in zip([*to_projected, to_state, to_table], expected, strict=True):
        if theirs is None:
            assert mine is None
        else:
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert rule.given_backward(state, kept, shares, gradient, False)[2] is None


@pytest.mark.parametrize("scale", [1.0, 100.0])  # so that some products lie beyond the bound
@pytest.mark.parametrize("rule", [Highway(), TwoInput()], ids=["highway", "two-input"])
def test_a_node_has_the_derivative_that_is_written(rule: Rule, scale: float) -> None:
    torch.manual_seed(0)
    sums, weights = [drawn(5, 4) for _ in range(rule.operands)], drawn(2)
    gradient = drawn(5, 4).detach()
    larger = [scale * each for each in sums]
    expected = torch.autograd.grad(rule.node(larger, weights), [*larger, weights], gradient, allow_unused=True)
    with torch.no_grad():
        to_sums, to_weights = rule.node_backward(larger, weights, gradient)
    for mine, theirs in zip([*to_sums, to_weights], expected, strict=True):
        if theirs is None:
            assert mine is None
        else:
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_weights_are_divided_by_the_mass_of_their_node() -> None:
    cell = space.get("darts-rnn", nodes=2).cells["recurrent"]  # node 1 reads 0, node 2 reads 0 and 1
    weights = torch.tensor([[0.0, 0.2, 0.3, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5]])
    support = (True, True, False, True, True)
    found = scaled(cell, Mixing(weights, (support, support, support)))
    runs = torch.tensor([False, True, False, True, True])  # ``none`` gives nothing, the third is outside the support
    torch.testing.assert_close(found[0], weights[0] * runs)  # a mass below 1 is not scaled up
    torch.testing.assert_close(found[1:], weights[1:] * runs / 3.0)
    first, second, last = sources_of(cell, (support, support, support))
    assert first is not None and second is not None and last is None
    assert (first.targets, first.rows, second.targets, second.rows) == ((0, 1), (0, 1), (1,), (2,))
    assert first.operations == ("tanh", "sigmoid", "identity")


def bytes_kept(name: str, evaluation: str) -> int:
    network = RecurrentSupernet(space.get(name), inputs=8, hidden=16, steps=3, evaluation=evaluation)
    choices = Choices(network.space, Softmax(), torch.Generator().manual_seed(0))
    mixings = {kind: Softmax()(table, Progress()) for kind, table in choices.items()}
    x = torch.randn(3, 32, 8)
    return saved_bytes(lambda: network(x, mixings)[0], [*network.parameters(), *choices.parameters()])


@pytest.mark.parametrize("name", ["darts-rnn", "two-input-rnn"])
def test_a_third_of_the_references_bytes_are_kept_at_most(name: str) -> None:
    reference, fast = bytes_kept(name, "reference"), bytes_kept(name, "fast")
    print(f"{name}: {reference / fast:.1f} times less kept")
    assert 3 * fast <= reference
