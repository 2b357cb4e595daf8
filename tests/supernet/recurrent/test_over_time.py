"""Whatever of a sequence is asked for, and how often: the gradients of what its steps share are autograd's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from tests.supernet.recurrent.test_supernet import SPACES, mixings_of, series, supernet, tables
from torch import Tensor

Found = list[Tensor | None]
Asked = Callable[[Sequence[Tensor], list[Tensor], list[Tensor]], list[Found]]


def gradient(loss: Tensor, of: Sequence[Tensor], again: bool = False) -> Found:
    return list(torch.autograd.grad(loss, of, retain_graph=True, create_graph=again, allow_unused=True))


def choices_then_weights(outputs: Sequence[Tensor], weights: list[Tensor], choices: list[Tensor]) -> list[Found]:
    loss = torch.stack([(each**3).sum() for each in outputs]).sum()
    return [gradient(loss, choices), gradient(loss, weights), gradient(loss, [*weights, *choices])]


def one_step_alone(outputs: Sequence[Tensor], weights: list[Tensor], choices: list[Tensor]) -> list[Found]:
    return [gradient((outputs[2] ** 3).sum(), [*choices, *weights]), gradient(outputs[0].sum(), weights)]


def around_a_second_derivative(outputs: Sequence[Tensor], weights: list[Tensor], choices: list[Tensor]) -> list[Found]:
    loss = torch.stack([(each**3).sum() for each in outputs]).sum()
    before, first = gradient(loss, weights), gradient(loss, weights, again=True)
    square = torch.stack([(each**2).sum() for each in first if each is not None]).sum()
    return [before, first, gradient(square, [*choices, *weights]), gradient(loss, weights)]


@pytest.mark.parametrize("asked", [choices_then_weights, one_step_alone, around_a_second_derivative])
@pytest.mark.parametrize("name", SPACES)
def test_the_gradients_are_those_of_the_reference(name: str, asked: Asked) -> None:
    found = []
    for evaluation in ("reference", "fast"):
        network = supernet(name, evaluation=evaluation).double()
        choices = tables(network).double()
        outputs, _ = network(series(dtype=torch.float64), mixings_of(choices))
        found.append(asked(list(outputs), list(network.parameters()), list(choices.parameters())))
    compared = 0
    for expected, got in zip(*found, strict=True):
        for one, other in zip(expected, got, strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
                compared += int(one.abs().sum() > 0)
    assert compared > len(found[0])
