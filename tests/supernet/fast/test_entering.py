"""What enters a cell is one function with the library's numbers: outputs, gradients, statistics, second derivatives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from archgrad.network.modules import ReluConvolutionNorm
from archgrad.supernet.fast.entering import FastEntrance, use_fast_entrances
from archgrad.supernet.memory import saved_bytes


def pair() -> tuple[ReluConvolutionNorm, ReluConvolutionNorm]:
    plain = ReluConvolutionNorm(5, 3, affine=False).double()
    fast = copy.deepcopy(plain)
    use_fast_entrances(fast)
    assert type(fast) is FastEntrance
    return plain, fast


@pytest.mark.parametrize("momentum", [0.1, None])
def test_it_is_the_three_layers(momentum: float | None) -> None:
    nets, x = pair(), torch.randn(3, 5, 4, 6, dtype=torch.float64, requires_grad=True)
    ahead = torch.randn(3, 3, 4, 6, dtype=torch.float64)
    found: list[list[Tensor]] = []
    for net in nets:
        norm, weight = net[2], net[1].weight
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(weight, Tensor)
        norm.momentum = momentum
        results = []
        for _ in range(2):
            out = net(x)
            first = torch.autograd.grad(out, [x, weight], ahead, create_graph=True)
            second = torch.autograd.grad(sum(g.square().sum() for g in first), [x, weight])  # type: ignore[arg-type]
            once = torch.autograd.grad(net(x), [x, weight], ahead)
            results += [out, *first, *second, *once, *(buffer.clone() for buffer in net.buffers())]
        norm.track_running_stats = False
        before = [buffer.clone() for buffer in net.buffers()]
        results.append(net(x))
        assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
        norm.track_running_stats = True
        results.append(net.eval()(x))
        found.append(results)
    for expected, given in zip(*found, strict=True):
        torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-10)


def test_it_keeps_its_input_and_its_output_alone() -> None:
    _, fast = pair()
    x = torch.randn(3, 5, 4, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    known = [x, *fast.parameters(), *fast.buffers()]
    assert saved_bytes(lambda: fast(x).sum(), known) == 8 * (3 * 3 * 4 * 6 + 3)


def test_entrances_with_scale_and_offset_are_left_alone() -> None:
    net = ReluConvolutionNorm(2, 2)
    use_fast_entrances(net)
    assert type(net) is ReluConvolutionNorm
