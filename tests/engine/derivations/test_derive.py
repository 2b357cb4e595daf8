"""Derivation reads probabilities, keeps at most k edges a node, and never keeps ``none``."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from archgrad.architecture import Edge
from archgrad.choices import Choices, ChoiceTable, Mixing, Progress, Softmax, full_support
from archgrad.choices.mixing import support_of
from archgrad.engine.derivations.derive import TopEdges, architecture_of, derive, expected_mixings
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DartsSpace

OPERATIONS = ("none", "skip", "sep", "pool")
CELL = CellSpace(2, 3, OPERATIONS)
ROWS = len(CELL.edges)
matrices = st.lists(
    st.lists(st.integers(0, 6), min_size=4, max_size=4), min_size=ROWS, max_size=ROWS
)  # few values, so that ties are common
seeds = st.integers(0, 2**31)


def mixing_of(weights: Tensor, support: Tensor | None = None) -> Mixing:
    return Mixing(weights, full_support(*weights.shape) if support is None else support_of(support))


def by_brute_force(weights: list[list[float]], cell: CellSpace, k: int) -> set[tuple[int, int]]:
    """Try every set of at most k edges with one operation each, into every node, and take the best.

    Best: the strongest edge as strong as possible, then the second one, and so on; among equals the earliest sources,
    then the earliest operations.
    """
    usable = [column for column, name in enumerate(cell.operations) if name != "none"]
    chosen: set[tuple[int, int]] = set()
    for target in range(cell.inputs, cell.inputs + cell.nodes):
        rows = [row for row, (_, end) in enumerate(cell.edges) if end == target]
        options = []
        for edges in combinations(rows, min(k, len(rows))):
            for operations in product(usable, repeat=len(edges)):
                picked = tuple(zip(edges, operations, strict=True))
                strengths = sorted((-weights[row][column] for row, column in picked))
                ranked = sorted(picked, key=lambda pair: (-weights[pair[0]][pair[1]], pair[0]))
                options.append((strengths, [row for row, _ in ranked], [column for _, column in ranked], picked))
        chosen |= set(min(options)[3])
    return chosen


@given(matrices, st.integers(1, 3))
def test_top_edges_are_the_best_by_brute_force(weights: list[list[float]], k: int) -> None:
    found = TopEdges(k)(mixing_of(torch.tensor(weights, dtype=torch.float64)), CELL)
    kept = {(row, column) for row in range(ROWS) for column in range(4) if found[row][column]}
    assert kept == by_brute_force(weights, CELL, k)


@given(seeds, st.integers(1, 4), st.floats(0.1, 1.0))
def test_at_most_k_edges_a_node_one_operation_each_inside_the_support(seed: int, k: int, density: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(ROWS, 4, generator=generator)
    support = torch.rand(ROWS, 4, generator=generator) < density
    found = torch.tensor(TopEdges(k)(mixing_of(weights * support, support), CELL))
    assert not bool((found & ~support).any())
    assert not bool(found[:, 0].any())
    assert int(found.sum(dim=1).max()) <= 1
    for target in range(2, 5):
        into = torch.tensor([end == target for _, end in CELL.edges])
        possible = int((into & support[:, 1:].any(dim=1)).sum())
        assert int(found[into].sum()) == min(k, possible)


def test_none_is_excluded_however_strong() -> None:
    weights = torch.full((ROWS, 4), 0.01)
    weights[:, 0] = 0.97
    weights[3, 2] = 0.02
    found = TopEdges(2)(mixing_of(weights), CELL)
    assert not any(row[0] for row in found)
    assert found[3] == (False, False, True, False)


def test_ties_go_to_the_earlier_source_and_operation() -> None:
    found = TopEdges(2)(mixing_of(torch.full((ROWS, 4), 0.25)), CELL)
    kept = [(CELL.edges[row], column) for row in range(ROWS) for column in range(4) if found[row][column]]
    assert kept == [((source, target), 1) for target in (2, 3, 4) for source in (0, 1)]


def space_and_choices(seed: int) -> tuple[DartsSpace, Choices]:
    space = DartsSpace()
    return space, Choices(space(), Softmax(deviation=2.0), torch.Generator().manual_seed(seed))


@given(seeds)
def test_a_shift_of_an_edges_logits_changes_nothing(seed: int) -> None:
    space, choices = space_and_choices(seed)
    before = derive(choices, Softmax(), Progress(), TopEdges(), space())
    raw = {kind: TopEdges()(mixing_of(table.logits), space().cells[kind]) for kind, table in choices.items()}
    shifts = 5 * torch.randn(14, 1, generator=torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        for _, table in choices.items():
            table.logits.add_(shifts)
    assert derive(choices, Softmax(), Progress(), TopEdges(), space()) == before
    shifted = {kind: TopEdges()(mixing_of(table.logits), space().cells[kind]) for kind, table in choices.items()}
    assert shifted != raw  # raw logits would have been moved by it


def test_probabilities_are_compared_across_edges_and_not_logits() -> None:
    # edge 0 has the larger logit, edge 1 the larger probability
    logits = torch.tensor([[0.0, 5.0, 4.9, 4.8], [0.0, 2.0, -9.0, -9.0]])
    cell = CellSpace(2, 1, OPERATIONS)
    mixing = Softmax().expected(ChoiceTable(logits), Progress())
    assert TopEdges(1)(mixing, cell) == ((False,) * 4, (False, True, False, False))


class Sampled(Softmax):
    """A relaxation whose draws say the opposite of what is expected."""

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        whole = super().__call__(table, progress)
        return Mixing(1 - whole.weights, whole.support)

    def expected(self, table: ChoiceTable | Tensor, progress: Progress) -> Mixing:
        return Softmax()(table, progress)


def test_decisions_read_the_expected_mixing() -> None:
    space, choices = space_and_choices(0)
    for kind, mixing in expected_mixings(choices, Sampled(), Progress()).items():
        expected = torch.softmax(dict(choices.items())[kind].logits, 1)
        torch.testing.assert_close(mixing.weights, expected)
    ours = derive(choices, Sampled(), Progress(), TopEdges(), space())
    assert ours == derive(choices, Softmax(), Progress(), TopEdges(), space())


def test_the_architecture_says_what_was_kept() -> None:
    space, choices = space_and_choices(1)
    architecture = derive(choices, Softmax(), Progress(), TopEdges(), space(), {"recipe": "darts", "seed": 1})
    assert architecture.space == "darts"
    assert architecture.made_by == {"recipe": "darts", "seed": 1}
    assert architecture.network == {"pool_norm": False, "node_norm": False}
    for kind, table in choices.items():
        cell = architecture.cells[kind]
        probabilities = torch.softmax(table.logits, 1).tolist()
        names = space().cells[kind].operations
        expected = by_brute_force(probabilities, space().cells[kind], 2)
        rows = space().cells[kind].edges
        assert set(cell.edges) == {Edge(*rows[row], names[column]) for row, column in expected}
        assert list(cell.edges) == sorted(cell.edges, key=lambda edge: (edge.target, edge.source))
        assert cell.weights is None
        assert (cell.inputs, cell.nodes, cell.output) == (2, 4, (2, 3, 4, 5))


def test_several_operations_an_edge_and_their_weights_are_written_down_without_none() -> None:
    space = DartsSpace(nodes=1, operations=("none", "skip_connect", "sep_conv_3x3"))()
    weights = torch.tensor([[0.5, 0.125, 0.375], [1.0, 0.0, 0.0]])
    support = ((True, True, True), (True, False, False))
    architecture = architecture_of(space, {"normal": support}, {"normal": Mixing(weights, support)})
    cell = architecture.cells["normal"]
    assert cell.edges == (Edge(0, 2, "skip_connect"), Edge(0, 2, "sep_conv_3x3"))
    assert cell.weights == (0.125, 0.375)


def test_k_is_checked() -> None:
    with pytest.raises(InputError, match="derivation.k is 0"):
        TopEdges(0)
