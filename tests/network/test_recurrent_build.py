"""Recurrent networks are built from an architecture and a few sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.network.test_recurrent import HIGHWAY, TWO_INPUT

import archgrad
from archgrad.architecture import Architecture
from archgrad.errors import InputError
from archgrad.network.recurrent_build import is_recurrent
from archgrad.published import published

V2 = published("DARTS_RNN_V2")


@pytest.mark.parametrize("name", ["DARTS_RNN_V1", "DARTS_RNN_V2"])
def test_the_language_model_of_darts_has_its_23_million_weights(name: str) -> None:
    counted = archgrad.count_parameters(published(name), hidden=850, tokens=10_000)
    # embeddings and their bias, the merged input, a matrix for each of 8 nodes
    assert counted == 10_000 * 851 + 1700 * 1700 + 8 * 850 * 1700 == 22_960_000


@pytest.mark.parametrize("name", ["DARTS_RNN_V1", "DARTS_RNN_V2"])
def test_published_cells_can_be_read_back(name: str) -> None:
    architecture = published(name)
    assert archgrad.Architecture.from_dict(architecture.to_dict()) == architecture
    assert is_recurrent(architecture)


def test_a_forecaster_answers_in_the_units_of_the_data() -> None:
    cell = Architecture("two-input-rnn", {"recurrent": TWO_INPUT})
    sizes: dict[str, Any] = {"hidden": 6, "inputs": 3, "horizon": 4, "targets": [2, 0]}
    network = archgrad.build(cell, mean=[10.0, 0.0, -5.0], std=[2.0, 1.0, 3.0], **sizes)
    plain = archgrad.build(cell, **sizes)
    plain.load_state_dict({**network.state_dict(), "ends.mean": torch.zeros(3), "ends.std": torch.ones(3)})
    x = torch.randn(5, 8, 3)
    scaled = x * torch.tensor([2.0, 1.0, 3.0]) + torch.tensor([10.0, 0.0, -5.0])
    expected = plain(x) * torch.tensor([3.0, 2.0]) + torch.tensor([-5.0, 10.0])
    assert expected.shape == (5, 4, 2)
    torch.testing.assert_close(network(scaled), expected)


def test_an_anchored_forecaster_moves_with_the_level() -> None:
    cell = Architecture("darts-rnn", {"recurrent": HIGHWAY})
    network = archgrad.build(cell, hidden=6, inputs=2, horizon=3, targets=[1], anchor=True, std=[2.0, 4.0])
    x, level = torch.randn(5, 8, 2), torch.tensor([100.0, -50.0])
    torch.testing.assert_close(network(x + level), network(x) - 50.0, rtol=1e-4, atol=1e-4)


def test_a_language_model_scores_the_next_token_and_carries_its_state() -> None:
    network = archgrad.build(V2, hidden=6, tokens=11, dropout_embedding=0.5, dropout_output=0.5)
    tokens = torch.randint(11, (7, 3))
    assert not torch.equal(network(tokens)[0], network(tokens)[0])
    network.eval()
    scores, last = network(tokens)
    assert scores.shape == (7, 3, 11)
    first, state = network(tokens[:4])
    rest, end = network(tokens[4:], state)
    torch.testing.assert_close(torch.cat([first, rest]), scores)
    torch.testing.assert_close(end, last)


def test_the_bare_recurrence() -> None:
    states, last = archgrad.build(V2, hidden=6, inputs=2)(torch.randn(5, 3, 2))
    assert states.shape == (5, 3, 6)
    assert torch.equal(last, states[-1])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({}, "needs hidden="),
        ({"hidden": 4}, "needs inputs=.*or tokens="),
        ({"hidden": 0, "inputs": 2}, "hidden is 0"),
        ({"hidden": 4, "tokens": 9, "horizon": 2}, "neither horizon"),
        ({"hidden": 4, "tokens": 0}, "tokens is 0"),
        (
            {"hidden": 4, "inputs": 2, "horizon": 2, "targets": [2]},
            r"targets is \[2\]; it must name series from 0 to 1",
        ),
        ({"hidden": 4, "input": 2}, "Unknown size 'input'.*Did you mean 'inputs'"),
    ],
)
def test_sizes_that_do_not_fit_are_named(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        archgrad.build(V2, **sizes)


def test_a_cell_of_another_form_is_refused() -> None:
    with pytest.raises(InputError, match="hidden= is a size of recurrent networks; darts is for images"):
        archgrad.build(published("DARTS_V2"), hidden=4)
    with pytest.raises(InputError, match="cannot be 'concat'"):
        cell = replace(HIGHWAY, output_combine="concat")
        archgrad.build(Architecture("darts-rnn", {"recurrent": cell}), hidden=4, inputs=2)
    with pytest.raises(InputError, match="none of the space two-input-rnn: that has 2 input"):
        archgrad.build(Architecture("two-input-rnn", {"recurrent": HIGHWAY}), hidden=4, inputs=2)
    with pytest.raises(InputError, match="no cell 'recurrent'; it has normal"):
        archgrad.build(Architecture("darts-rnn", {"normal": HIGHWAY}), hidden=4, inputs=2)
