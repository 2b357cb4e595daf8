"""The recurrent spaces have the rows and candidates of the papers, and a combiner's table stands beside its cell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from archgrad import space
from archgrad.choices import Choices, Progress, Softmax
from archgrad.engine.derivations.derive import TopEdges, architecture_of, derive, expected_mixings, project
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.errors import InputError


def test_the_space_of_darts_has_36_edges_of_5_candidates() -> None:
    cell = space.get("darts-rnn").cells["recurrent"]
    assert (len(cell.edges), cell.operations) == (36, ("none", "tanh", "relu", "sigmoid", "identity"))
    assert (cell.inputs, cell.nodes, cell.output, cell.output_combine) == (1, 8, tuple(range(1, 9)), "mean")
    assert cell.groups == tuple(target for _, target in cell.edges)
    assert set(cell.row_operands) == {None}


def test_operands_have_edges_and_groups_of_their_own() -> None:
    found = space.get("two-input-rnn", nodes=3)
    cell = found.cells["recurrent"]
    assert cell.edges[:4] == ((0, 2), (1, 2), (0, 2), (1, 2))
    assert cell.row_operands[:4] == ("a", "a", "b", "b")
    assert len(cell.edges) == 2 * (2 + 3 + 4)
    assert list(Counter(cell.groups).values()) == [2, 2, 3, 3, 4, 4]
    pairs = {(target, operand) for (_, target), operand in zip(cell.edges, cell.row_operands, strict=True)}
    assert len(set(cell.groups)) == len(pairs) == 6
    combine = found.cells["combine"]
    assert (combine.edges, combine.operations) == (((2, 2), (3, 3), (4, 4)), ("add", "multiply"))
    assert len(set(combine.groups)) == 3
    assert found.combiners == {"combine"}


def test_the_derived_cell_has_one_edge_an_operand_and_one_combiner_a_node() -> None:
    found = space.get("two-input-rnn", nodes=3)
    choices = Choices(found, Softmax(deviation=1.0), torch.Generator().manual_seed(0))
    architecture = derive(choices, Softmax(), Progress(), TopEdges(k=1), found)
    assert set(architecture.cells) == {"recurrent"}
    cell = architecture.cells["recurrent"]
    assert [(edge.target, edge.operand) for edge in cell.edges] == [(t, o) for t in (2, 3, 4) for o in "ab"]
    logits = dict(choices.items())["combine"].logits
    assert cell.combine == tuple(("add", "multiply")[int(row.argmax())] for row in logits)


def test_a_combiner_is_decided_whatever_the_rule_for_edges_is() -> None:
    found = space.get("two-input-rnn", nodes=3)
    choices = Choices(found, Softmax(deviation=1.0), torch.Generator().manual_seed(0))
    kept = project(expected_mixings(choices, Softmax(), Progress()), NonZero(), found)
    assert [sum(row) for row in kept["combine"]] == [1, 1, 1]
    assert sum(map(sum, kept["recurrent"])) == 18 * 4  # everything but none
    nothing = {kind: ((False,) * len(c.operations),) * len(c.edges) for kind, c in found.cells.items()}
    assert architecture_of(found, nothing).cells["recurrent"].combine == ("add",) * 3


@pytest.mark.parametrize("name", ["darts-rnn", "two-input-rnn"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 0}, "space.nodes is 0"),
        ({"operations": ("none",)}, "at least one activation"),
        ({"operations": ("tanhh",)}, "Unknown activation 'tanhh'.*Did you mean 'tanh'"),
        ({"output": "meen"}, "Unknown output 'meen'.*Did you mean 'mean'"),
    ],
)
def test_options_that_make_no_cell_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        space.get(name, **options)


@pytest.mark.parametrize("name", ["darts-rnn", "two-input-rnn"])
def test_candidates_can_be_chosen(name: str) -> None:
    cell = space.get(name, nodes=2, none=False, operations=("relu", "none", "relu", "tanh")).cells["recurrent"]
    assert cell.operations == ("relu", "tanh")
