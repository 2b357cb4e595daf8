"""Derived recurrent cells compute what the papers' formulas say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.network.recurrent_by_hand import Array, highway_step, two_input_step
from torch import Tensor, nn

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.network.recurrent import LIMIT, SequenceNorm, average, variational_mask
from archgrad.network.recurrent_build import recurrence_blueprint
from archgrad.network.recurrent_cells import Recurrence, TwoInputCell
from archgrad.published import published

# two edges into node 2, and into one operand of node 3
HIGHWAY = Cell(
    1,
    3,
    (Edge(0, 1, "sigmoid"), Edge(0, 2, "identity"), Edge(1, 2, "tanh"), Edge(2, 3, "relu")),
    (1, 2, 3),
    "mean",
)
TWO_INPUT = Cell(
    2,
    3,
    (
        Edge(0, 2, "sigmoid", "a"),
        Edge(1, 2, "identity", "b"),
        Edge(0, 3, "tanh", "a"),
        Edge(2, 3, "relu", "a"),
        Edge(1, 3, "identity", "b"),
        Edge(3, 4, "tanh", "a"),
        Edge(2, 4, "identity", "b"),
    ),
    (2, 3, 4),
    "mean",
    combine=("multiply", "add", "multiply"),
)


def recurrence(cell: Cell, space: str, inputs: int, hidden: int, node_norm: bool = False, **more: Any) -> Recurrence:
    architecture = Architecture(space, {"recurrent": cell}, {"pool_norm": False, "node_norm": node_norm})
    torch.manual_seed(0)
    return Recurrence(recurrence_blueprint(architecture, inputs=inputs, hidden=hidden, **more))


def weight(network: Recurrence, name: str) -> Array:
    found: Array = network.cell.get_parameter(name).detach().numpy().astype(np.float64)
    return found


def series(steps: int, batch: int, features: int) -> Tensor:
    return torch.randn(steps, batch, features, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", [HIGHWAY, published("DARTS_RNN_V1").cells["recurrent"]])
def test_a_darts_cell_is_the_formula_of_the_paper(cell: Cell) -> None:
    network, x = recurrence(cell, "darts-rnn", 5, 7), series(6, 3, 5)
    edges = {
        node: [(e.source, e.operation) for e in cell.edges if e.target == node] for node in range(1, 1 + cell.nodes)
    }
    ws = [weight(network, f"weights.{node}") for node in edges]
    h = np.zeros((3, 7))
    outputs, last = network(x)
    for step in range(6):
        h = highway_step(x[step].numpy().astype(np.float64), h, weight(network, "enter"), ws, edges)
        assert np.abs(outputs[step].detach().numpy() - h).max() < 1e-6
    assert torch.equal(last, outputs[-1])


def test_a_two_input_cell_is_the_formula() -> None:
    network, x = recurrence(TWO_INPUT, "two-input-rnn", 5, 7), series(6, 3, 5)
    edges: dict[str, list[tuple[int, str]]] = {}
    for edge in TWO_INPUT.edges:
        edges.setdefault(f"{edge.target}{edge.operand}", []).append((edge.source, edge.operation))
    ws = {key: weight(network, f"weights.{key}") for key in edges}
    wx, wh, h = weight(network, "enter_x"), weight(network, "enter_h"), np.zeros((3, 7))
    outputs, _ = network(x)
    for step in range(6):
        now = x[step].numpy().astype(np.float64)
        h = two_input_step(now, h, wx, wh, ws, edges, ["multiply", "add", "multiply"])
        assert np.abs(outputs[step].detach().numpy() - h).max() < 1e-6


def test_a_gru_is_a_two_input_cell() -> None:
    """h = z * h' + (1 - z) * n with 1 - sigmoid(p) = sigmoid(-p); the candidate n has its reset gate too."""
    edges = (
        Edge(0, 2, "identity", "a"),  # p = x W_z + h' U_z
        Edge(1, 2, "identity", "b"),
        Edge(2, 3, "sigmoid", "a"),  # z * h'
        Edge(1, 3, "identity", "b"),
        Edge(0, 4, "identity", "a"),  # q = x W_r + h' U_r
        Edge(1, 4, "identity", "b"),
        Edge(4, 5, "sigmoid", "a"),  # r * h' U_n
        Edge(1, 5, "identity", "b"),
        Edge(0, 6, "identity", "a"),  # m = x W_n + r * h' U_n
        Edge(5, 6, "identity", "b"),
        Edge(2, 7, "sigmoid", "a"),  # (1 - z) * n
        Edge(6, 7, "tanh", "b"),
        Edge(3, 8, "identity", "a"),  # h
        Edge(7, 8, "identity", "b"),
    )
    combine = ("add", "multiply", "add", "multiply", "add", "multiply", "add")
    size = 4
    network = recurrence(Cell(2, 7, edges, (8,), "last", combine=combine), "two-input-rnn", size, size).double()
    gru = nn.GRU(size, size, bias=False).double()
    reset, update, new = gru.get_parameter("weight_ih_l0").chunk(3)
    reset_h, update_h, new_h = gru.get_parameter("weight_hh_l0").chunk(3)
    one = torch.eye(size, dtype=torch.float64)
    matrices = {
        **{"enter_x": one, "enter_h": one, "weights.2a": update.T, "weights.2b": update_h.T},
        **{"weights.3a": one, "weights.3b": one, "weights.4a": reset.T, "weights.4b": reset_h.T},
        **{"weights.5a": one, "weights.5b": new_h.T, "weights.6a": new.T, "weights.6b": one},
        **{"weights.7a": -one, "weights.7b": one, "weights.8a": one, "weights.8b": one},
    }
    network.cell.load_state_dict(matrices)
    x = series(20, 3, size).double()
    start = torch.rand(3, size, dtype=torch.float64)
    expected, last = gru(x, start[None])
    outputs, state = network(x, start)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cell", "space"), [(TWO_INPUT, "two-input-rnn"), (HIGHWAY, "darts-rnn")])
def test_gradients_of_the_cells(cell: Cell, space: str) -> None:
    network = recurrence(cell, space, 3, 3).double()
    names = [name for name, _ in network.named_parameters()]

    def run(x: Tensor, hidden: Tensor, *weights: Tensor) -> Tensor:
        parameters = dict(zip(names, weights, strict=True))
        out: Tensor = torch.func.functional_call(network, parameters, (x, hidden))[0]
        return out

    x, hidden = series(2, 2, 3).double().requires_grad_(), torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, hidden, *network.parameters()))
    assert torch.autograd.gradgradcheck(run, (x, hidden, *network.parameters()))


def test_edge_weights_are_weights_of_the_average() -> None:
    edges = (Edge(0, 1, "tanh"), Edge(0, 1, "relu"))
    single = [recurrence(Cell(1, 1, (edge,), (1,), "last"), "darts-rnn", 2, 3) for edge in edges]
    both = recurrence(Cell(1, 1, edges, (1,), "last", weights=(3.0, 1.0)), "darts-rnn", 2, 3)
    x = series(1, 4, 2)
    for network in single:
        network.load_state_dict(both.state_dict())
    torch.testing.assert_close(both(x)[0], 0.75 * single[0](x)[0] + 0.25 * single[1](x)[0])
    assert torch.equal(average(torch.ones(2), 0.5), torch.ones(2))  # weight on none weakens, nothing is scaled up


def test_nodes_and_operands_without_edges_are_zeros() -> None:
    cell = Cell(2, 2, (Edge(0, 2, "tanh", "a"), Edge(2, 3, "none", "a")), (2, 3), "mean", combine=("add", "multiply"))
    network, x = recurrence(cell, "two-input-rnn", 2, 3), series(2, 4, 2)
    assert isinstance(network.cell, TwoInputCell)
    assert list(network.cell.weights) == ["2a"]
    expected = torch.tanh(x @ network.cell.enter_x @ network.cell.weights["2a"]) / 2
    torch.testing.assert_close(network(x)[0], expected)


@pytest.mark.parametrize("how", ["mean", "learned"])
def test_a_learned_output_starts_as_the_mean(how: str) -> None:
    network = recurrence(Cell(1, 3, HIGHWAY.edges, (1, 3), how), "darts-rnn", 2, 4)
    mean = recurrence(Cell(1, 3, HIGHWAY.edges, (1, 3), "mean"), "darts-rnn", 2, 4)
    mean.load_state_dict(network.state_dict(), strict=False)
    x = series(3, 2, 2)
    torch.testing.assert_close(network(x)[0], mean(x)[0])
    if how == "learned":
        assert network.cell.gates is not None
        (gradient,) = torch.autograd.grad(network(x)[0].sum(), network.cell.gates)
        assert float(gradient.abs().min()) > 0


def test_a_sequence_can_be_cut_anywhere() -> None:
    network, x = recurrence(TWO_INPUT, "two-input-rnn", 2, 4), series(7, 3, 2)
    whole, last = network(x)
    first, state = network(x[:3])
    rest, end = network(x[3:], state)
    assert torch.equal(torch.cat([first, rest]), whole)
    assert torch.equal(end, last)


@pytest.mark.parametrize(("cell", "space"), [(TWO_INPUT, "two-input-rnn"), (HIGHWAY, "darts-rnn")])
def test_states_stay_finite_even_with_weights_far_too_large(cell: Cell, space: str) -> None:
    network, x = recurrence(cell, space, 3, 8), series(1000, 2, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(20)
        outputs, _ = network(x)
    assert bool(outputs.isfinite().all())
    assert float(outputs.abs().max()) <= LIMIT


def test_statistics_are_those_of_all_steps_and_written_once_a_forward() -> None:
    norm = SequenceNorm(2)
    x = series(5, 6, 2) * torch.arange(1, 6).view(5, 1, 1)
    norm.begin()
    outputs = [norm(step) for step in x]
    assert float(norm.running_mean.abs().max()) == 0.0  # type: ignore[union-attr]
    norm.finish()
    means, variances = x.mean(dim=1).mean(dim=0), x.var(dim=1).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, 0.1 * means)
    torch.testing.assert_close(norm.running_var, 0.9 * torch.ones(2) + 0.1 * variances)
    for step, out in zip(x, outputs, strict=True):
        expected = (step - step.mean(dim=0)) / (step.var(dim=0, correction=0) + norm.eps).sqrt()
        torch.testing.assert_close(out, expected)
    norm.finish()  # without a step nothing moves
    torch.testing.assert_close(norm.running_mean, 0.1 * means)


def test_a_mask_lasts_for_the_sequence_and_is_no_part_of_evaluation() -> None:
    x = series(2, 1000, 3)
    mask = variational_mask(x, 5, 0.25)
    assert mask is not None
    assert mask.shape == (1000, 5)
    assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert float(mask.mean()) == pytest.approx(1.0, abs=0.05)
    network = recurrence(HIGHWAY, "darts-rnn", 3, 5, dropout_input=0.5, dropout_hidden=0.5)
    plain = recurrence(HIGHWAY, "darts-rnn", 3, 5)
    assert torch.equal(network.eval()(x)[0], plain(x)[0])
    assert not torch.equal(network.train()(x)[0], plain(x)[0])
