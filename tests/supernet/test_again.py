"""A gradient of the fast evaluation can be differentiated again, which the log says once for all supernets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import pytest
import torch
from tests.supernet.small import small
from torch import Tensor

from archgrad.choices import Mixing, full_support
from archgrad.space.two_input_rnn import TwoInputRnnSpace
from archgrad.supernet import again
from archgrad.supernet.recurrent.supernet import RecurrentSupernet


def test_gradients_are_those_of_what_was_computed() -> None:
    x, y, ahead = (torch.rand(3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    found = again.differentiable(x**3 * y, (x, None, y), ahead, (True, False, False))
    assert found[1:] == [None, None] and found[0] is not None
    torch.testing.assert_close(found[0], 3 * x**2 * y * ahead)
    torch.testing.assert_close(torch.autograd.grad(found[0].sum(), x)[0], 6 * x * y * ahead)


def image(evaluation: str) -> tuple[Callable[[], Tensor], list[Tensor]]:
    network = small(nodes=1, evaluation=evaluation).double()
    cells, x = network.space.cells, torch.rand(2, 2, 4, 4, dtype=torch.float64)
    mixings = {kind: full_mixing(len(cell.edges), len(cell.operations)) for kind, cell in cells.items()}
    return lambda: network(x, mixings), [
        network.get_parameter("cells.0.preprocess.0.1.weight"),
        mixings["normal"].weights,
    ]


def recurrent(combiners: tuple[str, ...], evaluation: str) -> tuple[Callable[[], Tensor], list[Tensor]]:
    space = TwoInputRnnSpace(nodes=2, combiners=combiners)()
    network = RecurrentSupernet(space, inputs=2, hidden=3, steps=3, evaluation=evaluation).double()
    mixings = {kind: full_mixing(len(cell.edges), len(cell.operations)) for kind, cell in space.cells.items()}
    x, omega = torch.rand(3, 4, 2, dtype=torch.float64), mixings["combine"].weights
    return lambda: network(x, mixings)[1], [network.cell.weight, mixings["recurrent"].weights, omega]


def full_mixing(rows: int, candidates: int) -> Mixing:
    weights = torch.rand(rows, candidates, dtype=torch.float64).requires_grad_()
    return Mixing(weights, full_support(rows, candidates))


def second_derivatives(run: Callable[[], Tensor], inputs: list[Tensor]) -> tuple[Tensor, ...]:
    first = torch.autograd.grad(run().square().sum(), inputs, create_graph=True)
    return torch.autograd.grad(torch.stack([each.square().sum() for each in first]).sum(), inputs)


TWO_INPUTS = [partial(recurrent, names) for names in (("add",), ("multiply",), ("multiply", "add"))]


@pytest.mark.parametrize("make", [image, *TWO_INPUTS], ids=["image", "add", "multiply", "both"])
def test_second_derivatives_are_the_reference_s_and_the_log_says_once_what_they_take(
    make: Callable[[str], tuple[Callable[[], Tensor], list[Tensor]]], caplog: pytest.LogCaptureFixture
) -> None:
    again._say_once.cache_clear()
    found = []
    for evaluation in ("reference", "fast"):
        torch.manual_seed(0)
        with caplog.at_level(logging.INFO, again.__name__):
            found.append(second_derivatives(*make(evaluation)))
        assert len(caplog.messages) == (evaluation == "fast")
    for mine, theirs in zip(*found, strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(mine / scale, theirs / scale, rtol=1e-8, atol=1e-8)
    assert "plain formulas" in caplog.text
