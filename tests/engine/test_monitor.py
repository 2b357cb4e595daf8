"""What is watched in every search, against closed forms and cells that are plainly collapsed or not."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy
import pytest
import torch
from tests.engine.toys import toy_state

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.choices import Mixing, full_support
from archgrad.engine.monitor import (
    choice_steps,
    collapse_warning,
    collapsed,
    entropy,
    living,
    monitor,
    operation_counts,
    parameter_free_share,
    stable_since,
)
from archgrad.engine.schedules.schedule import Always, Every, Joint, Never
from archgrad.engine.update import Streams, update
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


def cells_of(*operations: str) -> dict[str, Any]:
    return one_cell(*operations).to_dict()


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], 1),
        (["skip_connect"], 2),
        (["sep_conv_3x3"], 1),
        (["sep_conv_3x3", "skip_connect"], 3),
        (["sep_conv_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_3x3"], 3),
        (["skip_connect", "sep_conv_3x3", "sep_conv_3x3"], 2),
    ],
)
def test_a_cell_is_stable_since_the_epoch_after_which_it_stayed(before: list[str], expected: int) -> None:
    history = [{"epoch": epoch, "architecture": cells_of(name)} for epoch, name in enumerate(before, start=1)]
    assert stable_since(one_cell("sep_conv_3x3"), history) == expected


def test_the_living_are_those_that_run() -> None:
    assert living(mixing([[0.5, 0.5], [0.0, 1.0]])) == 4  # weight 0 runs all the same
    assert living(Mixing(torch.zeros(2, 3), ((True, False, False), (False, True, True)))) == 3


def test_choice_steps_are_counted_by_the_choices_own_optimiser_whatever_the_schedule() -> None:
    assert choice_steps(toy_state().choice_optimizer) == 0
    for schedule, expected in ((Always(), 5), (Every(2), 3), (Never(), 0), (Joint(), 5)):
        state = toy_state(linear=True, schedule=schedule, epochs=9)
        streams = Streams(state)
        for _ in range(5):
            update(state, streams)
        again = toy_state(linear=True, schedule=schedule, epochs=9)
        again.load_state_dict(state.state_dict())
        assert choice_steps(state.choice_optimizer) == choice_steps(again.choice_optimizer) == expected


def test_everything_that_is_watched() -> None:
    weights = [[0.75, 0.25], [0.5, 0.5]]
    cell = one_cell("skip_connect", "skip_connect", "sep_conv_3x3")
    watched = monitor(cell, {"normal": mixing(weights)}, {"normal": ((True, False), (False, True))}, [], 3, 10)
    away = numpy.array(weights) - numpy.array([[1.0, 0.0], [0.0, 1.0]])
    assert watched["distance"] == {"normal": pytest.approx(numpy.linalg.norm(away))}
    assert watched["entropy"] == {"normal": entropy(mixing(weights))}
    assert watched["living"] == {"normal": 4}
    assert watched["skip_share"] == watched["parameter_free_share"] == {"normal": pytest.approx(2 / 3)}
    assert watched["choice_steps"] == {"taken": 3, "skipped": 7}
    assert watched["stable_since"] == 1
    assert "skip connections" in watched["warning"]
    assert collapsed(watched)
    json.dumps(watched)
    sound = monitor(one_cell("sep_conv_3x3"), {"normal": mixing(weights)}, {"normal": ((True, False),) * 2}, [], 3, 10)
    assert sound["warning"] is None
    assert not collapsed(sound)


def test_a_decided_mixing_is_at_no_distance() -> None:
    watched = monitor(one_cell(), {"normal": mixing([[1.0, 0.0]])}, {"normal": ((True, False),)}, [], 0, 0)
    assert watched["distance"] == {"normal": 0.0}
    assert watched["entropy"] == {"normal": pytest.approx(0.0, abs=1e-9)}
