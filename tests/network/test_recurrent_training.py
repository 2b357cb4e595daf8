"""A whole sequence as one function gives what the loop over its steps gives, and all of its gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from benchmarks.counting import counted
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.network.test_recurrent import HIGHWAY, TWO_INPUT, recurrence
from torch import Tensor, nn

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.network.build import build
from archgrad.network.recurrent import ACTIVATIONS
from archgrad.network.recurrent_cells import HighwayCell, Recurrence, TwoInputCell, step_by_step
from archgrad.network.recurrent_sources import ORDER, sources_of
from archgrad.network.recurrent_steps import IN_PLACE, activation_slope
from archgrad.network.recurrent_steps_back import denormals_flushed
from archgrad.network.recurrent_training import over_time, trains_fast
from archgrad.published import published

Draw = Any
STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 2, 4


@st.composite
def cells(draw: Draw) -> Cell:
    """Return a small cell of either space: several edges or none into an operand, weights, any output."""
    two, nodes = draw(st.booleans()), draw(st.integers(1, 4))
    inputs, operands = 1 + two, ("a", "b") if two else (None,)
    edges = [
        Edge(draw(st.integers(0, target - 1)), target, draw(st.sampled_from([*ACTIVATIONS, "none"])), operand)
        for target in range(inputs, inputs + nodes)
        for operand in operands
        for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2, 3])))
    ]
    weights = tuple(draw(st.floats(0.1, 3.0)) for _ in edges) if draw(st.booleans()) else None
    last = inputs + nodes - 1
    output = draw(st.lists(st.integers(0, last), min_size=1, unique=True).map(sorted))
    return Cell(
        inputs,
        nodes,
        tuple(edges),
        tuple(output),
        draw(st.sampled_from(["mean", "last", "learned"])),
        combine=tuple(draw(st.sampled_from(["add", "multiply"])) for _ in range(nodes)) if two else None,
        weights=weights if edges else None,
    )


def made(cell: Cell, seed: int = 0, large: float = 1.0, **more: Any) -> Recurrence:
    """Return a network in double precision whose gates and weights are no special ones."""
    network = recurrence(cell, "two-input-rnn" if cell.combine else "darts-rnn", INPUTS, HIDDEN, **more).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator)).mul_(large)
    return network


def found(network: Recurrence, way: Any, masks: bool = False, start: bool = True) -> list[Tensor | None]:
    """Return states, the last one, and the gradients of x, h_0 and all parameters, by one way over the steps."""
    generator = torch.Generator().manual_seed(7)
    x, h = (torch.randn(*shape, generator=generator).double() for shape in ((STEPS, BATCH, INPUTS), (BATCH, HIDDEN)))
    x_mask, h_mask = (
        (torch.rand(BATCH, width, generator=generator) < 0.6).double() / 0.6 if masks else None
        for width in (INPUTS, HIDDEN)
    )
    hidden = h if start else torch.zeros_like(h)
    x.requires_grad_()
    hidden.requires_grad_()
    states, last = way(network.cell, x, hidden, x_mask, h_mask)
    loss = (states * torch.randn(states.shape, generator=generator)).sum() + last.square().sum()
    if not loss.requires_grad:
        return [states.detach(), last.detach()]
    given = (x, hidden, *network.parameters())
    return [states.detach(), last.detach(), *torch.autograd.grad(loss, given, allow_unused=True)]


def assert_equal(one: list[Tensor | None], other: list[Tensor | None]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            scale = max(1.0, float(b.abs().max()))
            assert float((a - b).abs().max()) <= 1e-10 * scale


@given(cell=cells(), seed=st.integers(0, 9), masks=st.booleans(), large=st.sampled_from([1.0, 1.0, 12.0]))
@example(cell=HIGHWAY, seed=0, masks=False, large=1.0)
@example(cell=TWO_INPUT, seed=0, masks=True, large=1.0)
@example(cell=TWO_INPUT, seed=0, masks=False, large=12.0)
def test_states_and_gradients_are_those_of_the_loop(cell: Cell, seed: int, masks: bool, large: float) -> None:
    network = made(cell, seed, large)
    assume(all(each is None or bool(each.isfinite().all()) for each in found(network, step_by_step, masks)))
    assert_equal(found(network, over_time, masks), found(network, step_by_step, masks))


@pytest.mark.parametrize("name", ["DARTS_RNN_V1", "DARTS_RNN_V2"])
@pytest.mark.parametrize("rows", [1, 6, 100])
def test_the_backward_pass_may_be_cut_into_stretches_anywhere(
    name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = made(published(name).cells["recurrent"])
    monkeypatch.setattr("archgrad.network.recurrent_steps_back.EXAMPLES", rows)
    assert_equal(found(network, over_time, masks=True), found(network, step_by_step, masks=True))


def test_states_beyond_the_limit_have_no_gradient() -> None:
    """The large cases above reach the bound; here all do."""
    network = made(
        Cell(2, 1, (Edge(0, 2, "identity", "a"), Edge(1, 2, "identity", "b")), (2,), "last", combine=("add",))
    )
    with torch.no_grad():
        network.cell.get_parameter("enter_x").fill_(1e4)
    assert_equal(found(network, over_time), found(network, step_by_step))


@pytest.mark.parametrize(("cell", "space"), [(TWO_INPUT, "two-input-rnn"), (HIGHWAY, "darts-rnn")])
def test_gradients_are_those_of_finite_differences_and_can_be_differentiated_again(cell: Cell, space: str) -> None:
    network = recurrence(cell, space, 2, 2).double()
    names, parameters = zip(*network.named_parameters(), strict=True)
    x, hidden = torch.randn(2, 2, 2).double().requires_grad_(), torch.randn(2, 2).double().requires_grad_()
    network.over_time = over_time

    def run(x: Tensor, hidden: Tensor, *weights: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (x, hidden))[0]
        return out

    assert "OverTime" in str(run(x, hidden, *parameters).grad_fn)
    assert torch.autograd.gradcheck(run, (x, hidden, *parameters), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, hidden, *parameters), fast_mode=True)


def test_a_graph_can_be_gone_back_through_twice() -> None:
    network = made(HIGHWAY)
    x = torch.randn(3, 2, INPUTS).double()
    loss = over_time(network.cell, x, torch.zeros(2, HIDDEN).double(), None, None)[0].square().sum()
    first = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(network.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_frozen_matrices_get_no_gradient_and_the_others_theirs() -> None:
    network = made(HIGHWAY)
    network.cell.get_parameter("weights.2").requires_grad_(False)
    x, h = torch.randn(3, 2, INPUTS).double(), torch.zeros(2, HIDDEN).double()
    both = []
    for way in (over_time, step_by_step):
        network.zero_grad()
        way(network.cell, x, h, None, None)[1].sum().backward()
        both.append([parameter.grad for parameter in network.parameters()])
    assert_equal(*both)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precisions_agree_within_their_rounding(dtype: torch.dtype) -> None:
    network = made(published("DARTS_RNN_V2").cells["recurrent"]).to(dtype)
    x, h = torch.randn(4, 3, INPUTS, dtype=dtype), torch.zeros(3, HIDDEN, dtype=dtype)
    one, other = (way(network.cell, x, h, None, None)[0] for way in (over_time, step_by_step))
    torch.testing.assert_close(one, other, rtol=8 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)


def test_dropout_draws_the_same_masks_either_way() -> None:
    network = made(HIGHWAY, dropout_input=0.4, dropout_hidden=0.4)
    x, outputs = torch.randn(3, 2, INPUTS).double(), []
    for way in (over_time, step_by_step):
        network.over_time = way
        torch.manual_seed(5)
        outputs.append(network(x)[0])
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-12)


class Plainly:
    """Situations in which the loop has to run."""

    @staticmethod
    def without_gradients(network: Recurrence, x: Tensor) -> Any:
        with torch.no_grad():
            return network(x)

    @staticmethod
    def under_autocast(network: Recurrence, x: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return network(x)

    @staticmethod
    def with_a_hook(network: Recurrence, x: Tensor) -> Any:
        network.cell.register_forward_hook(lambda *_: None)
        return network(x)

    @staticmethod
    def in_an_export(network: Recurrence, x: Tensor) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.compiler, "is_compiling", lambda: True)  # an export itself takes ten seconds
            return network(x)

    @staticmethod
    def under_a_transform(network: Recurrence, x: Tensor) -> Any:
        return torch.func.vmap(network, in_dims=1, randomness="error")(x[:, :, None])


@pytest.mark.parametrize("how", [name for name in vars(Plainly) if not name.startswith("_")])
def test_the_loop_runs_where_single_steps_are_looked_at(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the fast way was taken")

    monkeypatch.setattr("archgrad.network.recurrent_training._OverTime.apply", refuse)
    getattr(Plainly, how)(trains_fast(recurrence(HIGHWAY, "darts-rnn", 2, 3)), torch.randn(3, 2, 2))
    normed = trains_fast(recurrence(HIGHWAY, "darts-rnn", 2, 3, node_norm=True))
    normed(torch.randn(3, 2, 2))
    with pytest.raises(AssertionError, match="fast way"):
        trains_fast(recurrence(HIGHWAY, "darts-rnn", 2, 3))(torch.randn(3, 2, 2))


@pytest.mark.parametrize("sizes", [{"inputs": 2, "horizon": 3}, {"tokens": 5}, {"inputs": 2}])
def test_every_network_that_is_built_trains_fast_and_its_copies_too(sizes: dict[str, Any]) -> None:
    network = copy.deepcopy(build(published("DARTS_RNN_V1"), hidden=4, **sizes))
    cores = [module for module in network.modules() if isinstance(module, Recurrence)]
    assert [core.over_time for core in cores] == [over_time]


def test_slopes_are_those_of_autograd() -> None:
    assert set(IN_PLACE) == set(ACTIVATIONS) == set(ORDER)
    for name, activation in ACTIVATIONS.items():
        h = torch.linspace(-3, 3, 8, dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(activation(h).sum(), h)
        torch.testing.assert_close(activation_slope(name, activation(h).detach()), expected)
        torch.testing.assert_close(IN_PLACE[name](h.detach().clone()), activation(h).detach())


def test_denormal_numbers_are_flushed_and_the_setting_is_put_back() -> None:
    tiny = torch.full((3,), 1e-38)
    for before in (False, True):
        torch.set_flush_denormal(before)
        try:
            with denormals_flushed(torch.device("cpu")):
                assert float((tiny * 0.1).max()) == 0.0
            assert (float((tiny * 0.1).max()) == 0.0) == before
        finally:
            torch.set_flush_denormal(False)


def test_nodes_that_reach_no_output_are_left_out() -> None:
    cell = recurrence(Cell(1, 3, HIGHWAY.edges, (1,), "last"), "darts-rnn", 2, 3).cell
    assert isinstance(cell, HighwayCell | TwoInputCell)
    assert list(sources_of(cell).nodes) == [0, 1]


@pytest.mark.parametrize(("name", "most"), [("DARTS_RNN_V2", 1_000)])
def test_a_training_step_launches_few_operations(name: str, most: int) -> None:
    """Counted, so no clock: DARTS_RNN_V2 launches 57 kernels a time step and some 600 for the rest."""
    network = build(published(name), hidden=4, inputs=3, horizon=2)
    x = torch.randn(2, 6, 3)

    def step() -> None:
        loss: Tensor = network(x).square().sum()
        loss.backward()

    step()
    assert counted(step).kernels.total() <= most


def test_parts_of_the_network_are_modules_as_before() -> None:
    architecture = Architecture("darts-rnn", {"recurrent": HIGHWAY}, {"pool_norm": False, "node_norm": False})
    network = build(architecture, hidden=3, inputs=2)
    assert isinstance(network, nn.Module)
    assert "over_time" not in network.state_dict()
