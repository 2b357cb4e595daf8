"""Depthwise convolutions on a CPU: a forward and two gradients that all cost about the same.

The library (oneDNN) is quick where the kernel is at most three columns wide and not dilated, and many times slower
elsewhere. Both gradients are therefore rewritten, as the same sums in another order:

- the input gradient is a forward convolution with the flipped kernel;
- the weight gradient of a dilated convolution is a plain one on the pixels of equal parity, and that of a wide kernel
  is put together from stripes of three columns.

Tensors are images [N, C, H, W], channels last in memory; kernels are [C, 1, k, k] with odd k, and the padding keeps the
sides (but for the stride).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

__all__ = ["depthwise", "depthwise_input_gradient", "depthwise_weight_gradient", "repeated"]

STRIPE = 3  # oneDNN's quick depthwise weight gradient takes kernels of up to three columns, and any number of rows
SMALL = 64  # up to so many channels times columns one call for the whole kernel costs less than several (measured)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, dilation: int = 1) -> Tensor:
    """Return the depthwise convolution [N, C, ceil(H/stride), ceil(W/stride)] of x; bias [C] is added."""
    padding = dilation * (weight.shape[-1] // 2)
    return functional.conv2d(x, weight, bias, stride, padding, dilation, weight.shape[0])


def depthwise_input_gradient(gradient: Tensor, weight: Tensor, sides: torch.Size, stride: int, dilation: int) -> Tensor:
    """Return the gradient with respect to the input of a depthwise convolution that keeps the sides (but for stride).

    Args:
        gradient: of the output, [N, C, ceil(H/stride), ceil(W/stride)].
        weight: [C, 1, k, k] with odd k.
        sides: (H, W) of the input.
        stride: 1 or more; the gradient is spread out over a grid of zeros first.
        dilation: distance between the kernel's taps.
    """
    if stride > 1:
        spread = gradient.new_zeros(*gradient.shape[:2], *sides).contiguous(memory_format=torch.channels_last)
        spread[:, :, ::stride, ::stride] = gradient
        gradient = spread
    return depthwise(gradient, weight.flip(2, 3), dilation=dilation)


def depthwise_weight_gradient(
    x: Tensor, gradient: Tensor, kernel: int, stride: int, dilation: int, copies: int = 1
) -> Tensor:
    """Return the gradient [copies C, 1, k, k] of the kernel: sum over n, h, w of x, shifted, times the gradient.

    Args:
        x: the input, [N, C, H, W].
        gradient: of the output, [N, copies C, ceil(H/stride), ceil(W/stride)].
        kernel: k, odd.
        stride: distance of the outputs.
        dilation: distance between the kernel's taps.
        copies: how often the convolution's input repeats the channels of x.
    """
    small = gradient.shape[1] * gradient.shape[3] <= SMALL
    if dilation > 1 and stride % dilation == 0:  # every tap reads pixels of one parity only
        x, stride, dilation = x[:, :, ::dilation, ::dilation], stride // dilation, 1
    elif small and kernel <= STRIPE:
        pass
    elif dilation > 1 and stride == 1 and not (x.shape[2] % dilation or x.shape[3] % dilation):
        x, gradient, dilation = _phases(x, dilation), _phases(gradient, dilation), 1
    channels, reach = gradient.shape[1], dilation * (kernel // 2)
    if kernel <= STRIPE or dilation > 1 or small:
        shape = [channels, 1, kernel, kernel]
        whole: Tensor = conv2d_weight(repeated(x, copies), shape, gradient, stride, reach, dilation, channels)
        return whole
    stripes, padded = [], functional.pad(x, (reach, reach))
    for start in range(0, kernel, STRIPE):
        columns = min(STRIPE, kernel - start)
        # as many columns of the input as this stripe of the kernel passes over
        seen = padded[:, :, :, start : start + (gradient.shape[3] - 1) * stride + columns]
        shape = [channels, 1, kernel, columns]
        stripes.append(conv2d_weight(repeated(seen, copies), shape, gradient, stride, (reach, 0), 1, channels))
    return torch.cat(stripes, dim=3)


def repeated(x: Tensor, copies: int) -> Tensor:
    """Return the image with its channels repeated, [N, copies C, H, W], channels last in memory."""
    if copies == 1:
        return x.contiguous(memory_format=torch.channels_last)
    return torch.cat([x.permute(0, 2, 3, 1)] * copies, dim=3).permute(0, 3, 1, 2)


def _phases(x: Tensor, step: int) -> Tensor:
    """Gather the pixels of equal position modulo ``step``: [N, C, H, W] -> [step^2 N, C, H/step, W/step]."""
    count, channels, height, width = x.shape
    split = x.permute(0, 2, 3, 1).reshape(count, height // step, step, width // step, step, channels)
    return (
        split.permute(2, 4, 0, 1, 3, 5)
        .reshape(step * step * count, height // step, width // step, channels)
        .permute(0, 3, 1, 2)
    )
