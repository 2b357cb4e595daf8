"""The recurrent supernet computes the mixed cell of the papers over time, and runs exactly the support it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.supernet.recurrent_by_hand import mixed_highway_step, mixed_two_input_step, normalised, table
from tests.supernet.small import masked
from torch import Tensor

from archgrad import registry, space
from archgrad.choices import Choices, Mixing, Progress, Softmax, transit
from archgrad.engine.derivations.derive import TopEdges, expected_mixings, project
from archgrad.errors import InputError
from archgrad.network.heads import ForecastEnds
from archgrad.network.recurrent import LIMIT
from archgrad.runs.parts import build_part
from archgrad.supernet import ImageSupernet
from archgrad.supernet.image import frozen_statistics
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.supernet.recurrent.supernet import RecurrentSupernet

SPACES = ("darts-rnn", "two-input-rnn")


def supernet(name: str, *, nodes: int = 3, steps: int = 5, **options: Any) -> RecurrentSupernet:
    torch.manual_seed(0)
    return RecurrentSupernet(space.get(name, nodes=nodes), inputs=2, hidden=4, steps=steps, **options)


def tables(network: RecurrentSupernet, seed: int = 0, relaxation: Any = None) -> Choices:
    relaxation = relaxation or Softmax(deviation=1.0)
    return Choices(network.space, relaxation, torch.Generator().manual_seed(seed))


def mixings_of(choices: Choices) -> dict[str, Mixing]:
    return {kind: Softmax()(table, Progress()) for kind, table in choices.items()}


def series(steps: int = 5, batch: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(steps, batch, 2, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("evaluation", ["reference", "fast"])
@pytest.mark.parametrize("node_norm", [True, False])
@pytest.mark.parametrize("name", SPACES)
def test_the_supernet_is_the_mixed_cell_of_the_papers(name: str, node_norm: bool, evaluation: str) -> None:
    network = supernet(name, node_norm=node_norm, evaluation=evaluation).double()
    mixings = {kind: masked(m, 0.7) for kind, m in mixings_of(tables(network).double()).items()}
    x, h = series(dtype=torch.float64), np.zeros((6, 4))
    outputs, last = network(x, mixings)
    weights = {key: value.detach().numpy() for key, value in network.cell.named_parameters()}
    norm = normalised if node_norm else (lambda state: state)
    for step in range(5):
        now, p = x[step].numpy(), table(mixings["recurrent"])
        if name == "darts-rnn":
            h = mixed_highway_step(now, h, weights["enter"], weights["weight"], p, norm)
        else:
            entering = weights["enter_x"], weights["enter_h"]
            h = mixed_two_input_step(now, h, *entering, weights["weight"], p, table(mixings["combine"]), norm)
        np.testing.assert_allclose(outputs[step].detach().numpy(), h, rtol=0, atol=1e-12)
    assert torch.equal(last, outputs[-1])


@pytest.mark.parametrize("share", [1.0, 0.4])
@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_the_fast_evaluation_is_the_reference(name: str, share: float, dtype: torch.dtype, tolerance: float) -> None:
    found = []
    for evaluation in ("reference", "fast"):
        network = supernet(name, evaluation=evaluation).to(dtype)
        choices = tables(network).to(dtype)
        mixings = {kind: masked(m, share) for kind, m in mixings_of(choices).items()}
        x = series(dtype=dtype).requires_grad_()
        outputs, _ = network(x, mixings)
        inputs = [x, *network.parameters(), *choices.parameters()]
        gradients = torch.autograd.grad((outputs**3).sum(), inputs, allow_unused=True)
        zeros = [torch.zeros_like(i) if g is None else g for g, i in zip(gradients, inputs, strict=True)]
        found.append([outputs.detach(), *zeros, *network.buffers()])
    for mine, theirs in zip(*found, strict=True):
        assert float((mine - theirs).abs().max()) <= tolerance * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("name", SPACES)
def test_what_is_outside_of_the_support_does_not_run(name: str) -> None:
    network = supernet(name, evaluation="reference")
    mixings = {kind: masked(m, 0.5) for kind, m in mixings_of(tables(network)).items()}
    loud = {kind: Mixing(m.weights + 100.0 * ~torch.tensor(m.support), m.support) for kind, m in mixings.items()}
    x = series()
    assert torch.equal(network(x, loud)[0], network(x, mixings)[0])


@pytest.mark.parametrize("name", SPACES)
def test_layers_are_time_steps(name: str) -> None:
    network = supernet(name).eval()
    one, two = (mixings_of(tables(network, seed)) for seed in (0, 1))
    assert network.kinds == ("recurrent",) * 5
    x = series()
    both, _ = network(x, [one, one, two, two, two])
    first, state = network(x[:2], one)
    rest, _ = network(x[2:], [two] * 5, state)  # a shorter sequence takes the first
    torch.testing.assert_close(both, torch.cat([first, rest]))
    assert not torch.allclose(both[2:], network(x, one)[0][2:])


@pytest.mark.parametrize("name", SPACES)
def test_slices_that_no_step_runs_are_known(name: str) -> None:
    network = supernet(name)
    full = mixings_of(tables(network))
    assert network.live_slices(full) == {}
    cell = network.space.cells["recurrent"]
    last = max(cell.groups)
    rows = [
        tuple(False if group == last else entry for entry in row)
        for group, row in zip(cell.groups, full["recurrent"].support, strict=True)
    ]
    less = {**full, "recurrent": Mixing(full["recurrent"].weights, tuple(rows))}
    slices = len(network.cell.weight)
    assert network.live_slices(less) == {"cell.weight": frozenset(range(slices - 1))}
    assert network.live_slices([less, full, less, less, less]) == {}
    (gradient,) = torch.autograd.grad(network(series(), less)[0].sum(), network.cell.weight)
    assert not bool(gradient[-1].any())
    assert bool(gradient[:-1].flatten(1).any(dim=1).all())


@pytest.mark.parametrize("name", SPACES)
def test_statistics_are_written_once_a_forward_and_can_be_frozen(name: str) -> None:
    network, x = supernet(name), series()
    mixings = mixings_of(tables(network))
    before = [buffer.clone() for buffer in network.buffers()]
    with frozen_statistics(network):
        frozen, _ = network(x, mixings)
    assert all(torch.equal(b, a) for b, a in zip(before, network.buffers(), strict=True))
    written, _ = network(x, mixings)
    assert torch.equal(frozen, written)
    assert not all(torch.equal(b, a) for b, a in zip(before, network.buffers(), strict=True))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relaxation_name", registry.names("relaxation"))
@pytest.mark.parametrize("name", SPACES)
def test_states_stay_finite_over_a_thousand_steps(name: str, relaxation_name: str, training: bool) -> None:
    network = supernet(name, nodes=2).train(training)
    relaxation = build_part("relaxation", {"name": relaxation_name})
    choices, generator = tables(network, relaxation=relaxation), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(8)  # as if learned, and badly
        late = Progress(1.0, 1.0)
        expected = expected_mixings(choices, relaxation, late)
        kept = project(expected, TopEdges(k=1), network.space)
        child = {kind: transit(support, expected[kind].weights) for kind, support in kept.items()}
        relaxed = {kind: relaxation(t, late, relaxation.noise(t, generator)) for kind, t in choices.items()}
        for mixings in (relaxed, child):
            outputs, _ = network(series(1000), mixings)
            assert bool(outputs.isfinite().all())
            assert float(outputs.abs().max()) <= LIMIT


@pytest.mark.parametrize("name", SPACES)
def test_dropout_is_drawn_once_a_sequence_and_is_no_part_of_evaluation(name: str) -> None:
    network, x = supernet(name, dropout_input=0.5, dropout_hidden=0.5), series()
    mixings, plain = mixings_of(tables(network)), supernet(name).eval()
    assert torch.equal(network.eval()(x, mixings)[0], plain(x, mixings)[0])
    network.train()
    torch.manual_seed(3)
    one, _ = network(x, mixings)
    torch.manual_seed(3)
    assert torch.equal(one, network(x, mixings)[0])
    assert not torch.equal(one, network(x, mixings)[0])


def test_a_forecaster_decodes_the_last_state() -> None:
    core = supernet("two-input-rnn")
    network = ForecastSupernet(core, ForecastEnds(2, 4, horizon=3, targets=[1], mean=[5.0, 7.0], std=[2.0, 3.0]))
    mixings, x = mixings_of(tables(core)), series().transpose(0, 1)
    _, last = core((x.transpose(0, 1) - torch.tensor([5.0, 7.0])) / torch.tensor([2.0, 3.0]), mixings)
    expected = network.ends.decoder(last).view(6, 3, 1) * 3.0 + 7.0
    torch.testing.assert_close(network(x, mixings), expected)
    assert (network.kinds, network.layers) == (core.kinds, core.layers)
    nothing = {
        kind: Mixing(m.weights * 0, ((False,) * len(m.support[0]),) * len(m.support)) for kind, m in mixings.items()
    }
    assert network.live_slices(nothing) == {"core.cell.weight": frozenset()}


def test_what_does_not_fit_is_refused() -> None:
    network = supernet("two-input-rnn")
    mixings = mixings_of(tables(network))
    with pytest.raises(InputError, match="No mixing was given for the cell kind 'combine'"):
        network(series(), {"recurrent": mixings["recurrent"]})
    with pytest.raises(InputError, match="4 mixings were given for a sequence of 5 steps in a supernet of 5 layers"):
        network(series(), [mixings] * 4)
    other = mixings_of(tables(supernet("two-input-rnn", nodes=2)))
    with pytest.raises(InputError, match="2 combiners were given for a cell of 3 nodes"):
        network(series(), {**mixings, "combine": other["combine"]})
    with pytest.raises(InputError, match="The mixing has 10 rows"):
        network(series(), other)
    with pytest.raises(InputError, match="supernet.steps is 0"):
        supernet("darts-rnn", steps=0)
    with pytest.raises(InputError, match="Unknown evaluation 'slow'"):
        supernet("darts-rnn", evaluation="slow")
    with pytest.raises(InputError, match="The space darts holds no recurrent cell"):
        RecurrentSupernet(space.get("darts"), inputs=2, hidden=4, steps=5)
    with pytest.raises(InputError, match="The space darts-rnn is for sequences"):
        ImageSupernet(space.get("darts-rnn"), cells=1, channels=2)
