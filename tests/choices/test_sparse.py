"""The thresholded softmax of EnTranNAS-DST: plain loops, finite differences, and what it promises of any input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from archgrad.choices import ChoiceTable, Progress, Softmax, Sparse
from archgrad.choices.sparse import BETA, normalised_per_edge, sparse_weights, thresholds
from archgrad.errors import InputError

GROUPS = (2, 2, 3, 3, 3, 4, 4, 4, 4)
ROWS, CANDIDATES = len(GROUPS), 4
seeds = st.integers(0, 2**31)
logit_rows = st.lists(
    st.lists(st.floats(-1e3, 1e3), min_size=CANDIDATES, max_size=CANDIDATES), min_size=ROWS, max_size=ROWS
)
betas = st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3)
epochs = st.floats(0.01, 1.0)


def table_of(logits: Tensor, beta: Sequence[float] | Tensor) -> ChoiceTable:
    return ChoiceTable(logits, GROUPS, {BETA: torch.as_tensor(beta, dtype=logits.dtype)})


def random_table(seed: int, spread: float = 1.0) -> ChoiceTable:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(ROWS, CANDIDATES, generator=generator, dtype=torch.float64)
    return table_of(logits, torch.randn(3, generator=generator, dtype=torch.float64))


def by_hand(logits: Tensor, beta: Tensor, temperature: float) -> list[list[float]]:
    """Return the normalised q of every edge, number by number, as the equations are written."""
    p = []
    for row in logits.tolist():
        powers = [math.exp((alpha - max(row)) / temperature) for alpha in row]
        p.append([power / sum(powers) for power in powers])
    out = []
    for row, node in enumerate(GROUPS):
        largest = max(value for other, values in zip(GROUPS, p, strict=True) if other == node for value in values)
        t = 1 / (1 + math.exp(-float(beta[sorted(set(GROUPS)).index(node)])))
        q = [max(0.0, value / largest - t) for value in p[row]]
        out.append([value / sum(q) if sum(q) > 0 else 0.0 for value in q])
    return out


@given(seeds, epochs)
def test_weights_are_the_two_equations(seed: int, epoch: float) -> None:
    table, sparse = random_table(seed), Sparse(start=2.0, end=0.5)
    mixing = sparse(table, Progress(epoch=epoch))
    expected = by_hand(table.logits.detach(), table.extras[BETA].detach(), 2.0 * 0.25**epoch)
    torch.testing.assert_close(mixing.weights, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    assert mixing.support == tuple(tuple(value > 0 for value in row) for row in expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(logits=logit_rows, beta=betas, epoch=epochs)
def test_any_logits_and_thresholds_leave_every_node_an_input(
    dtype: torch.dtype, logits: list[list[float]], beta: list[float], epoch: float
) -> None:
    mixing = Sparse()(table_of(torch.tensor(logits, dtype=dtype), beta), Progress(epoch=epoch))
    weights, support = mixing.weights.detach(), torch.tensor(mixing.support)
    assert bool(torch.isfinite(weights).all())
    assert torch.equal(weights > 0, support)
    for node in set(GROUPS):
        assert bool(support[[row for row, group in enumerate(GROUPS) if group == node]].any())
    sums = weights.sum(dim=1)[support.any(dim=1)]
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-5, atol=0)
    assert float(weights[~support.any(dim=1)].abs().sum()) == 0


@given(seeds)
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    table, progress, sparse = random_table(seed, spread=0.5), Progress(epoch=0.4), Sparse(start=1.0, end=1.0)
    coefficients = torch.randn(ROWS, CANDIDATES, generator=torch.Generator().manual_seed(seed + 1)).double()
    logits, beta = table.logits.detach(), table.extras[BETA].detach()

    def value(logits: Tensor, beta: Tensor) -> Tensor:
        return (coefficients * sparse(table_of(logits, beta), progress).weights).sum().detach()

    found = torch.autograd.grad(
        (coefficients * sparse(table, progress).weights).sum(), [table.logits, table.extras[BETA]]
    )
    for place, gradient in enumerate(found):
        for index in range(gradient.numel()):
            step = torch.zeros_like(gradient).flatten()
            step[index] = 1e-6
            step = step.view_as(gradient)
            up = (logits + step, beta) if place == 0 else (logits, beta + step)
            down = (logits - step, beta) if place == 0 else (logits, beta - step)
            if sparse(table_of(*up), progress).support != sparse(table_of(*down), progress).support:
                continue  # a kink of the ReLU in between
            slope = float((value(*up) - value(*down)) / 2e-6)
            # an edge whose total is just above its threshold is steep: relative to its slope
            assert float(gradient.flatten()[index]) == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_flat_softmax_keeps_everything_and_a_decided_one_little() -> None:
    logits = 0.3 * (2 * torch.rand(ROWS, CANDIDATES, generator=torch.Generator().manual_seed(0)) - 1)
    table = table_of(logits, [0.0] * 3)
    kept = [sum(map(sum, Sparse()(table, Progress(epoch=e)).support)) for e in (0.02, 0.25, 0.5, 0.75, 1.0)]
    print(f"kept of {ROWS * CANDIDATES} as the temperature falls from 5 to 0.1: {kept}")
    assert kept[0] == ROWS * CANDIDATES
    assert kept[-1] < ROWS * CANDIDATES / 3
    assert sorted(kept, reverse=True) == kept


def test_higher_thresholds_keep_less() -> None:
    p = Softmax()(random_table(3).logits.detach(), Progress()).weights
    before = ROWS * CANDIDATES + 1
    for t in (0.0, 0.3, 0.6, 0.9):
        kept = int((sparse_weights(p, torch.full((3,), t, dtype=p.dtype), GROUPS) > 0).sum())
        assert kept < before
        before = kept


def test_a_node_whose_candidates_are_all_dead_gets_zeros() -> None:
    table = random_table(0)
    table.alive[:2] = False
    mixing = Sparse()(table, Progress(epoch=0.5))
    assert not bool(mixing.weights[:2].any())
    assert not any(map(any, mixing.support[:2]))
    (gradient,) = torch.autograd.grad((mixing.weights**2).sum(), table.logits)
    assert bool(torch.isfinite(gradient).all())


def test_edges_without_weight_stay_without() -> None:
    q = torch.tensor([[0.2, 0.0, 0.6], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(normalised_per_edge(q), torch.tensor([[0.25, 0.0, 0.75], [0.0, 0.0, 0.0]]))


def test_thresholds_stay_below_the_largest_connection() -> None:
    found = thresholds(torch.tensor([-50.0, 0.0, 50.0]))
    assert found.tolist() == pytest.approx([0.0, 0.5, 0.999], abs=1e-6)


def test_tables_start_at_the_threshold_that_was_asked_for() -> None:
    extras = Sparse(threshold=0.2).extras(GROUPS, CANDIDATES)
    torch.testing.assert_close(torch.sigmoid(extras[BETA]), torch.full((3,), 0.2))
    assert Sparse().extras(GROUPS, CANDIDATES)[BETA].tolist() == [0.0] * 3


def test_bare_logits_get_the_first_thresholds() -> None:
    logits = random_table(0).logits.detach()
    bare = Sparse(threshold=0.3)(logits, Progress(epoch=0.8))
    beta = math.log(0.3 / 0.7)
    given_groups = ChoiceTable(logits, None, {BETA: torch.tensor([beta], dtype=torch.float64)})
    torch.testing.assert_close(bare.weights, Sparse()(given_groups, Progress(epoch=0.8)).weights, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1])
def test_a_threshold_outside_of_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match=r"relaxation\.threshold is"):
        Sparse(threshold=threshold)
