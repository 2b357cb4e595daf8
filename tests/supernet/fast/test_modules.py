"""The fast evaluation equals the reference: outputs, all gradients, running statistics, and second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archgrad.choices import Choices, Progress, Softmax
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.fast.modules import FastDepthwise, use_fast_depthwise


def depthwise(kernel: int, stride: int, dilation: int) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(3, 3, kernel, stride, padding, dilation, groups=3, bias=False, dtype=torch.float64)


@pytest.mark.parametrize("side", [4, 7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "dilation"), [(5, 1), (3, 2), (5, 2), (7, 1)])
def test_the_quicker_gradient_is_the_library_s(kernel: int, dilation: int, stride: int, side: int) -> None:
    plain, fast = depthwise(kernel, stride, dilation), depthwise(kernel, stride, dilation)
    fast.load_state_dict(plain.state_dict())
    use_fast_depthwise(fast)
    assert type(fast) is FastDepthwise
    x = torch.randn(2, 3, side, side + 1, dtype=torch.float64, requires_grad=True)
    outputs = plain(x), fast(x)
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    ahead = torch.randn_like(outputs[0])
    for expected, found in zip(
        torch.autograd.grad(outputs[0], [x, plain.weight], ahead),
        torch.autograd.grad(outputs[1], [x, fast.weight], ahead),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_quicker_gradient_can_be_differentiated_again() -> None:
    fast = depthwise(3, 2, 2)
    use_fast_depthwise(fast)
    x = torch.randn(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda v, w: torch.func.functional_call(fast, {"weight": w}, v), (x, fast.weight)
    )


def test_what_does_not_pay_or_fit_is_left_alone() -> None:
    for convolution in (
        depthwise(3, 1, 1),
        nn.Conv2d(3, 3, 5, padding=2),
        nn.Conv2d(3, 3, 5, groups=3, bias=False),
        nn.Conv2d(3, 3, 5, padding=2, groups=3),
    ):
        use_fast_depthwise(convolution)
        assert type(convolution) is nn.Conv2d


def test_the_whole_supernet_equals_the_reference() -> None:
    space, relaxation = DartsSpace(nodes=2)(), Softmax(deviation=0.5)
    choices = Choices(space, relaxation, torch.Generator().manual_seed(0)).double()
    nets = [
        ImageSupernet(space, cells=3, channels=2, in_channels=1, classes=3, evaluation=evaluation).double()
        for evaluation in ("reference", "fast")
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    results: list[list[Tensor]] = []
    for net in nets:
        mixings = {kind: relaxation(table, Progress()) for kind, table in choices.items()}
        output = net(x, mixings)
        inputs = [x, *choices.parameters(), *net.parameters()]
        results.append([output, *torch.autograd.grad(output.square().sum(), inputs), *net.buffers()])
    assert sum(isinstance(m, FastDepthwise) for m in nets[1].modules()) > 0
    assert not any(isinstance(m, FastDepthwise) for m in nets[0].modules())
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
