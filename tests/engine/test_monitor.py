"""What is watched in every search, against closed forms and cells that are plainly collapsed or not."""

from __future__ import annotations

import math

import pytest
import torch

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.choices import Mixing, full_support
from archgrad.engine.monitor import collapse_warning, entropy, operation_counts, parameter_free_share
from archgrad.published import published


def mixing(weights: list[list[float]]) -> Mixing:
    matrix = torch.tensor(weights, requires_grad=True)
    return Mixing(matrix, full_support(*matrix.shape))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([[0.25] * 4] * 3, 1.0),
        ([[1.0, 0.0, 0.0, 0.0]], 0.0),
        ([[0.5, 0.5, 0.0, 0.0]], 0.5),
        ([[0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], 0.25),
        ([[0.75, 0.25]], -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)),
        ([[2.0, 2.0]], 1.0),  # weights that do not sum to 1 are normalised
        ([[0.0, 0.0]], 0.0),  # nothing left on this edge
        ([[1.0]], 0.0),
    ],
)
def test_entropy_is_in_units_of_complete_indecision(weights: list[list[float]], expected: float) -> None:
    assert entropy(mixing(weights)) == pytest.approx(expected, abs=1e-6)


def one_cell(*operations: str) -> Architecture:
    edges = tuple(Edge(source, 2, name) for source, name in enumerate(operations))
    return Architecture("darts", {"normal": Cell(len(edges), 1, edges, (len(edges),))})


def test_shares_and_counts() -> None:
    cell = one_cell("skip_connect", "skip_connect", "max_pool_3x3", "sep_conv_3x3")
    assert parameter_free_share(cell, "normal") == 0.75
    assert parameter_free_share(cell, "normal", "skip_connect") == 0.5
    assert parameter_free_share(Architecture("darts", {"normal": Cell(2, 1, (), (2,))}), "normal") == 0.0
    assert operation_counts(published("DARTS_V2")) == {
        "sep_conv_3x3": 5,
        "skip_connect": 5,
        "dil_conv_3x3": 1,
        "max_pool_3x3": 5,
    }


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        (("skip_connect", "skip_connect", "skip_connect", "sep_conv_3x3"), "75% of its edges are skip connections"),
        (("skip_connect", "max_pool_3x3"), "no edge has any weights"),
        (("max_pool_3x3", "avg_pool_3x3", "none"), "no edge has any weights"),
        (("skip_connect", "skip_connect", "sep_conv_3x3", "sep_conv_3x3"), None),
        (("sep_conv_3x3",), None),
    ],
)
def test_a_collapse_is_said_in_plain_words(operations: tuple[str, ...], said: str | None) -> None:
    warning = collapse_warning(one_cell(*operations), {"normal": mixing([[1.0]])})
    if said is None:
        assert warning is None
    else:
        assert warning is not None
        assert said in warning
        assert warning.startswith("The normal cell is collapsing")


def test_published_cells_are_no_collapse_though_a_reduction_cell_has_no_weights() -> None:
    everything = {"normal": mixing([[1.0]]), "reduce": mixing([[1.0]])}
    assert parameter_free_share(published("DARTS_V2"), "reduce") == 1.0
    assert collapse_warning(published("DARTS_V2"), everything) is None
