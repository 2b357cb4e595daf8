"""Language models: states carried from window to window, tied embeddings, dropouts and penalties, by hand in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import archgrad
from archgrad.network.carried import handed_on, state_of
from archgrad.network.language import LanguageNetwork, LanguageStep, activation_square, slowness
from archgrad.network.recurrent_build import recurrent_network
from archgrad.tasks.language import LanguageTask

CELL = archgrad.published("DARTS_RNN_V2")


def model(**options: Any) -> LanguageNetwork:
    torch.manual_seed(0)
    network = recurrent_network(CELL, hidden=3, tokens=7, **options)
    assert isinstance(network, LanguageNetwork)
    return network.double()


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, Any] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "identity": lambda x: x,
}
V2 = [("sigmoid", 0), ("relu", 1), ("relu", 1), ("identity", 1), ("tanh", 2), ("sigmoid", 5), ("tanh", 3), ("relu", 5)]
"""Activation and predecessor of nodes 1 to 8, as DARTS printed them."""


def by_hand(network: LanguageNetwork, tokens: Any, targets: Any, h: Any) -> tuple[float, Any, Any]:
    """Return the mean loss of a window [N, T], the states [T, N, H] and the last one, word by word in numpy."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    embedding, bias, total, states = weights["ends.embedding"], weights["ends.bias"], 0.0, []
    for step in range(tokens.shape[1]):
        c, g = np.split(np.concatenate([embedding[tokens[:, step]], h], axis=1) @ weights["core.cell.enter"], 2, axis=1)
        nodes = [h + sigmoid(c) * (np.tanh(g) - h)]
        for number, (name, source) in enumerate(V2, start=1):
            c, g = np.split(nodes[source] @ weights[f"core.cell.weights.{number}"], 2, axis=1)
            nodes.append(nodes[source] + sigmoid(c) * (FUNCTIONS[name](g) - nodes[source]))
        h = np.mean(nodes[1:], axis=0)
        states.append(h)
        scores = h @ embedding.T + bias
        likelihood = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        total -= np.log(likelihood[range(len(h)), targets[:, step]]).sum()
    return total / targets.size, np.stack(states), h


def test_the_loss_of_two_windows_goes_on_with_the_state_of_the_first() -> None:
    network, task = model(), LanguageTask()
    text = torch.randint(7, (2, 9), generator=torch.Generator().manual_seed(1))
    state, h, losses = None, np.zeros((2, 3)), []
    for begin in (0, 4):
        x, y = text[:, begin : begin + 4], text[:, begin + 1 : begin + 5]
        reading = network.read(x.T, *handed_on(state))
        state = state_of(reading)
        expected, states, h = by_hand(network, x.numpy(), y.numpy(), h)
        losses.append(task.loss(reading, y).item())
        assert losses[-1] == pytest.approx(expected, abs=1e-12)
        np.testing.assert_allclose(reading.states.detach(), states, atol=1e-12)
    assert state is not None and not state.requires_grad
    np.testing.assert_allclose(state, h, atol=1e-12)
    batches = [(text[:, 0:4], text[:, 1:5]), (text[:, 4:8], text[:, 5:9])]
    measured = task.evaluate(lambda x, *handed: network.read(x.T, *handed), batches)
    assert measured["loss"] == pytest.approx(np.mean(losses), abs=1e-12)


def test_training_adds_slowness_and_activation_of_the_states() -> None:
    network = model(slowness=0.5, activation=0.25)
    tokens = torch.randint(7, (4, 2))
    reading = network.train().read(tokens)
    _, states, _ = by_hand(network, tokens.T.numpy(), tokens.T.numpy(), np.zeros((2, 3)))
    expected = 0.5 * np.mean((states[1:] - states[:-1]) ** 2) + 0.25 * np.mean(states**2)
    assert reading.penalty is not None and reading.penalty.item() == pytest.approx(expected, abs=1e-12)
    assert network.eval().read(tokens).penalty is None
    assert float(slowness(torch.ones(1, 2, 3))) == 0 and float(activation_square(torch.full((2, 1, 1), 3.0))) == 9


def test_dropouts_are_one_mask_a_window_and_whole_words() -> None:
    torch.manual_seed(3)
    network = model(dropout_output=0.5).train()
    tokens = torch.randint(7, (6, 5))
    clean, dropped = network.eval().read(tokens).states, network.train().read(tokens).states
    ratio = dropped / clean
    assert set(ratio.detach().round(decimals=6).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(ratio[0] > 0, ratio[-1] > 0)
    words = model(dropout_embedding=0.5).train()
    rows = words.ends.enter(torch.arange(7)[:, None])[:, 0] / words.ends.embedding
    assert {tuple(row) for row in rows.detach().round(decimals=6).tolist()} == {(0.0,) * 3, (2.0,) * 3}


def test_one_step_is_the_network_on_one_token() -> None:
    network = model().eval()
    tokens = torch.randint(7, (3, 2))
    scores, last = network(tokens)
    state = torch.zeros(2, 3, dtype=torch.float64)
    for token in tokens:
        step, state = LanguageStep(network)(token, state)
    torch.testing.assert_close(step, scores[-1])
    torch.testing.assert_close(state, last)


def test_an_lstm_stands_in_for_a_cell_and_goes_on_too() -> None:
    torch.manual_seed(0)
    core = {"lstm": True, "inputs": 4, "hidden": 4}
    network = LanguageNetwork({"kind": "language", "recurrence": core, "tokens": 6}).double()
    tokens = torch.randint(6, (8, 3))
    whole, last = network(tokens)
    first, state = network(tokens[:5])
    second, state = network(tokens[5:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert network.state_width == 8 and state.shape == (3, 8)
    torch.testing.assert_close(state, last)


def test_published_cells_have_the_published_size() -> None:
    for name in ("DARTS_RNN_V1", "DARTS_RNN_V2"):
        assert archgrad.count_parameters(archgrad.published(name), hidden=850, tokens=10_000) == 22_960_000
