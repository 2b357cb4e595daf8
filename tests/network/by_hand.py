"""The operations written out number by number, the way the DARTS paper describes them; no module of the package."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Return the k x k convolution of each channel with its own kernel, zeros around the image."""
    kernel = weight.shape[-1]
    margin = dilation * (kernel // 2)
    height, width = x.shape[-2:]
    padded = x.new_zeros(*x.shape[:2], height + 2 * margin, width + 2 * margin)
    padded[:, :, margin : margin + height, margin : margin + width] = x
    total = torch.zeros_like(x[:, :, ::stride, ::stride])
    for a in range(kernel):
        for b in range(kernel):
            shifted = padded[:, :, a * dilation : a * dilation + height, b * dilation : b * dilation + width]
            total = total + weight[:, 0, a, b].view(1, -1, 1, 1) * shifted[:, :, ::stride, ::stride]
    return total


def convolution(x: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution with every pair of channels' own kernel, of odd sides, zeros around the image."""
    high, wide = weight.shape[-2:]
    height, width = x.shape[-2:]
    padded = x.new_zeros(*x.shape[:2], height + high - 1, width + wide - 1)
    padded[:, :, high // 2 : high // 2 + height, wide // 2 : wide // 2 + width] = x
    total = x.new_zeros(len(x), len(weight), height, width)
    for a in range(high):
        for b in range(wide):
            shifted = padded[:, :, a : a + height, b : b + width]
            total = total + torch.einsum("nchw,dc->ndhw", shifted, weight[:, :, a, b])
    return total


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """Return the same linear map of the channels at every pixel."""
    return torch.einsum("nchw,dc->ndhw", x, weight[:, :, 0, 0])


def normalised(x: Tensor, scale: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
    """Return batch norm as in training: every channel to mean 0 and variance 1 over batch and pixels."""
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    out = (x - mean) / (variance + 1e-5).sqrt()
    if scale is not None and offset is not None:
        out = out * scale.view(1, -1, 1, 1) + offset.view(1, -1, 1, 1)
    return out


def relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def separable(x: Tensor, weights: Sequence[Tensor], stride: int) -> Tensor:
    """Apply (ReLU, depthwise, 1x1, norm) twice, the stride in the first."""
    first, second, third, fourth = weights
    x = normalised(pointwise(depthwise(relu(x), first, stride), second))
    return normalised(pointwise(depthwise(relu(x), third), fourth))


def dilated(x: Tensor, weights: Sequence[Tensor], stride: int) -> Tensor:
    """Apply ReLU, depthwise of dilation 2, 1x1, norm."""
    first, second = weights
    return normalised(pointwise(depthwise(relu(x), first, stride, dilation=2), second))


def windows(x: Tensor, stride: int, fill: float) -> Tensor:
    """Return the 9 values under every 3x3 window as a leading dimension, ``fill`` beyond the edge."""
    height, width = x.shape[-2:]
    padded = x.new_full((*x.shape[:2], height + 2, width + 2), fill)
    padded[:, :, 1:-1, 1:-1] = x
    return torch.stack(
        [padded[:, :, a : a + height, b : b + width][:, :, ::stride, ::stride] for a in range(3) for b in range(3)]
    )


def max_pool(x: Tensor, stride: int) -> Tensor:
    return windows(x, stride, -torch.inf).amax(dim=0)


def average_pool(x: Tensor, stride: int) -> Tensor:
    """Return the mean of the pixels that lie inside the image."""
    return windows(x, stride, 0.0).sum(dim=0) / windows(torch.ones_like(x), stride, 0.0).sum(dim=0)


def factorised(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Take every second pixel, once from (0, 0) and once from (1, 1) on, each into half of the channels; norm."""
    x = relu(x)
    height, width = (x.shape[-2] + 1) // 2, (x.shape[-1] + 1) // 2
    even, odd = x[:, :, ::2, ::2], x.new_zeros(*x.shape[:2], height, width)
    rest = x[:, :, 1::2, 1::2]
    odd[:, :, : rest.shape[2], : rest.shape[3]] = rest
    return normalised(torch.cat([pointwise(even, weights[0]), pointwise(odd, weights[1])], dim=1))


def relu_convolution(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    return normalised(pointwise(relu(x), weights[0]))


def operation(name: str, x: Tensor, weights: Sequence[Tensor], stride: int, pool_norm: bool) -> Tensor:
    """Compute a candidate in training mode without affine parameters."""
    if name == "none":
        return torch.zeros_like(x[:, :, ::stride, ::stride])
    if name == "skip_connect":
        return x if stride == 1 else factorised(x, weights)
    if name.endswith("pool_3x3"):
        pooled = max_pool(x, stride) if name.startswith("max") else average_pool(x, stride)
        return normalised(pooled) if pool_norm else pooled
    if name == "conv_7x1_1x7":
        along_rows = convolution(relu(x), weights[0])[:, :, :, ::stride]
        return normalised(convolution(along_rows, weights[1])[:, :, ::stride])
    if name.startswith("conv"):
        return normalised(convolution(relu(x), weights[0])[:, :, ::stride, ::stride])
    return separable(x, weights, stride) if name.startswith("sep") else dilated(x, weights, stride)
