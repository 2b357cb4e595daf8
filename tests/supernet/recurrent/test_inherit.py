"""A derived recurrence with the supernet's weights computes what the supernet computes under its support."""

from __future__ import annotations

import pytest
import torch
from tests.supernet.recurrent.test_supernet import SPACES, mixings_of, series, supernet, tables

from archgrad.architecture import Architecture
from archgrad.choices import Mixing, Progress, Softmax, transit
from archgrad.engine.derivations.argmax import ArgmaxPerEdge
from archgrad.engine.derivations.derive import Derivation, TopEdges, architecture_of, expected_mixings, project
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.errors import InputError
from archgrad.network.recurrent import SequenceNorm
from archgrad.supernet.recurrent.inherit import inherit_recurrence
from archgrad.supernet.recurrent.supernet import RecurrentSupernet


def derived(network: RecurrentSupernet, rule: Derivation, weighted: bool) -> tuple[Architecture, dict[str, Mixing]]:
    expected = expected_mixings(tables(network), Softmax(), Progress())
    kept = project(expected, rule, network.space)
    child = {kind: transit(support, expected[kind].weights) for kind, support in kept.items()}
    if weighted:
        factors = expected["recurrent"].weights.detach() * child["recurrent"].weights
        child["recurrent"] = Mixing(factors, child["recurrent"].support)
    return architecture_of(network.space, kept, expected if weighted else None), child


@pytest.mark.parametrize("rule", [TopEdges(k=1), TopEdges(k=2), ArgmaxPerEdge(), NonZero()])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("node_norm", [True, False])
@pytest.mark.parametrize("name", SPACES)
def test_the_derived_network_is_the_supernet_under_its_support(
    name: str, node_norm: bool, weighted: bool, rule: Derivation
) -> None:
    network = supernet(name, node_norm=node_norm)
    for _ in range(3):
        network(series(), mixings_of(tables(network, 1)))  # statistics that are not those of the beginning
    architecture, child = derived(network, rule, weighted)
    inherited = inherit_recurrence(network, architecture)
    for training in (False, True):
        inherited.train(training)
        network.train(training)
        expected, last = network(series(), child)
        outputs, state = inherited(series())
        torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-5)
    assert any(isinstance(module, SequenceNorm) for module in inherited.modules()) == node_norm


@pytest.mark.parametrize("name", SPACES)
def test_a_learned_output_is_inherited(name: str) -> None:
    from archgrad import space

    network = RecurrentSupernet(space.get(name, nodes=3, output="learned"), inputs=2, hidden=4, steps=5)
    assert network.cell.gates is not None
    with torch.no_grad():
        network.cell.gates.uniform_(0.1, 1.0)
    architecture, child = derived(network, TopEdges(k=1), False)
    inherited = inherit_recurrence(network.eval(), architecture).eval()
    torch.testing.assert_close(inherited(series())[0], network(series(), child)[0])


def test_a_cell_of_another_supernet_is_refused() -> None:
    network = supernet("two-input-rnn")
    with pytest.raises(InputError, match="this architecture was not derived from it"):
        inherit_recurrence(network, derived(supernet("darts-rnn"), TopEdges(k=1), False)[0])
    with pytest.raises(InputError, match="no cell 'recurrent'"):
        inherit_recurrence(network, Architecture("two-input-rnn", {}))
    few = RecurrentSupernet(
        type(network.space)(
            "two-input-rnn",
            {
                **network.space.cells,
                "recurrent": type(network.space.cells["recurrent"])(
                    2, 3, ("tanh",), "mean", operands=("a", "b"), combiner="combine"
                ),
            },
            network.space.skeleton,
        ),
        inputs=2,
        hidden=4,
        steps=5,
    )
    with pytest.raises(InputError, match="activations that are no candidates of the supernet: .*Its candidates: tanh"):
        inherit_recurrence(few, derived(network, TopEdges(k=1), False)[0])
