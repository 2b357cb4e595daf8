"""Depthwise convolutions as modules with quicker gradients, for evaluations that go row by row.

On a CPU the input gradient of a large or dilated depthwise convolution is computed as a forward convolution with
flipped kernels. It is the same sum; the library's own backward takes many times as long.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from archgrad.supernet.fast.depthwise import depthwise_input_gradient, depthwise_weight_gradient

__all__ = ["FastDepthwise", "use_fast_depthwise"]


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution whose backward is made of differentiable operations, so it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return functional.conv2d(x, weight, None, stride, padding, dilation, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (x, weight), (stride, padding, dilation) = gradients, ctx.saved_tensors, ctx.geometry
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = depthwise_input_gradient(gradient, weight, x.shape[2:], stride, dilation)
        if ctx.needs_input_grad[1]:
            if torch.is_grad_enabled():
                to_weight = conv2d_weight(x, weight.shape, gradient, stride, padding, dilation, weight.shape[0])
            else:
                to_weight = depthwise_weight_gradient(x, gradient, weight.shape[-1], stride, dilation)
        return to_x, to_weight, None, None, None


class FastDepthwise(nn.Conv2d):
    """A depthwise ``nn.Conv2d`` with the quicker input gradient, on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x [N, C, H, W]."""
        if x.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(x)
        out: Tensor = _Depthwise.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.stride[0], int(self.padding[0]), self.dilation[0]
        )
        return out


def use_fast_depthwise(module: nn.Module) -> None:
    """Give every depthwise convolution for which it pays the quicker gradient; names and weights stay.

    It pays from 5x5 kernels on and with dilation; the library's own 3x3 is quick.
    """
    for child in module.modules():
        if type(child) is not nn.Conv2d or not child.in_channels == child.out_channels == child.groups > 1:
            continue
        kernel, stride, dilation = child.kernel_size, child.stride, child.dilation
        same = all(2 * int(child.padding[i]) == dilation[i] * (kernel[i] - 1) for i in (0, 1))
        square = kernel[0] == kernel[1] and stride[0] == stride[1] and dilation[0] == dilation[1]
        plain = child.bias is None and child.padding_mode == "zeros" and kernel[0] % 2 == 1
        if same and square and plain and (kernel[0] > 3 or dilation[0] > 1):
            child.__class__ = FastDepthwise
