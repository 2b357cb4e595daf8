"""Every operation of the image spaces, written once, importing torch alone.

The supernet runs these modules on slices of its stacked storage, the derived network holds them as they are, and the
standalone export copies this file. Tensors are images [N, C, H, W] throughout; ``affine`` says whether batch norm
learns a scale and an offset (no in search, yes in the network that is trained afterwards).
Operations and their order of layers: DARTS (arXiv 1806.09055) section 3.1.1 and its public code.
What each one costs stands beside it, counted as in the public code of SNAS (arXiv 1812.09926).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "COSTS",
    "OPERATIONS",
    "STACKABLE",
    "STEMS",
    "Cost",
    "Convolution",
    "DilatedConvolution",
    "FactorizedConvolution",
    "FactorizedReduce",
    "Pool",
    "ReducingStem",
    "ReluConvolutionNorm",
    "SeparableConvolution",
    "Stem",
    "Zero",
    "drop_path",
    "make_operation",
]


class Cost(NamedTuple):
    """What an operation costs for one image; batch norm and ReLU are taken to cost nothing.

    Attributes:
        parameters: weights of its convolutions.
        flops: multiply-adds, and one for every number under a pooling window.
        memory_access: numbers that its convolutions and poolings read (maps, weights) and write.
    """

    parameters: int = 0
    flops: int = 0
    memory_access: int = 0


class ReluConvolutionNorm(nn.Sequential):
    """ReLU, 1x1 convolution, batch norm: brings a cell's input to the cell's channels."""

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, affine=affine),
        )


class FactorizedReduce(nn.Module):
    """Halve the sides without losing pixels: two 1x1 convolutions of stride 2, the second one pixel further on.

    [N, inputs, H, W] -> [N, outputs, ceil(H/2), ceil(W/2)]; each convolution gives half of the channels.
    """

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reduced features [N, outputs, ceil(H/2), ceil(W/2)]."""
        x = functional.relu(x)
        shifted = x[:, :, 1:, 1:]
        if x.shape[2] % 2 or x.shape[3] % 2:  # odd sides: the shifted grid would be one short
            shifted = functional.pad(shifted, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return out

    @staticmethod
    def cost(inputs: int, outputs: int, pixels: int) -> Cost:
        """Return P = C_in C_out, P y^2, 2 (4 C_in + C_out / 2) y^2 + P; y^2 = ``pixels`` of the output."""
        weights = inputs * outputs
        return Cost(weights, weights * pixels, (8 * inputs + outputs) * pixels + weights)


class SeparableConvolution(nn.Sequential):
    """``sep_conv``: (ReLU, depthwise k x k, 1x1, batch norm) twice; the stride is in the first half."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        padding = kernel // 2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, 1, padding, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )

    @staticmethod
    def cost(channels: int, kernel: int, stride: int, pixels: int) -> Cost:
        """Return P = 2 C k^2 + 2 C^2, P y^2, (7 + stride^2) C y^2 + P; y^2 = ``pixels`` of the output.

        As published: with stride 2 the first convolution reads 4 C y^2 numbers, every other map has C y^2.
        """
        weights = 2 * channels * kernel**2 + 2 * channels**2
        return Cost(weights, weights * pixels, (7 + stride**2) * channels * pixels + weights)


class DilatedConvolution(nn.Sequential):
    """``dil_conv``: ReLU, depthwise k x k of dilation 2, 1x1, batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        padding = kernel - 1
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, padding, dilation=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )

    @staticmethod
    def cost(channels: int, kernel: int, stride: int, pixels: int) -> Cost:
        """Return P = C k^2 + C^2, P y^2, (3 + stride^2) C y^2 + P; y^2 = ``pixels`` of the output."""
        weights = channels * kernel**2 + channels**2
        return Cost(weights, weights * pixels, (3 + stride**2) * channels * pixels + weights)


class Convolution(nn.Sequential):
    """``conv``: ReLU, plain k x k convolution, batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )

    @staticmethod
    def cost(channels: int, kernel: int, stride: int, pixels: int) -> Cost:
        """Return P = C^2 k^2, P y^2, (1 + stride^2) C y^2 + P; y^2 = ``pixels`` of the output."""
        weights = channels**2 * kernel**2
        return Cost(weights, weights * pixels, (1 + stride**2) * channels * pixels + weights)


class FactorizedConvolution(nn.Sequential):
    """``conv_kx1_1xk``: ReLU, convolution along the rows, convolution along the columns, batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        padding = kernel // 2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, padding), bias=False),
            nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (padding, 0), bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class Pool(nn.Module):
    """3x3 pooling, ``kind`` "max" or "average"; with ``norm`` followed by batch norm (in search, and in SNAS cells)."""

    def __init__(self, kind: str, channels: int, stride: int = 1, affine: bool = True, norm: bool = False) -> None:
        super().__init__()
        self.pool: nn.Module = (
            nn.MaxPool2d(3, stride, padding=1)
            if kind == "max"
            else nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        )
        self.norm = nn.BatchNorm2d(channels, affine=affine) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled features."""
        out: Tensor = self.norm(self.pool(x))
        return out

    @staticmethod
    def cost(channels: int, stride: int, pixels: int) -> Cost:
        """Return 0, 9 C y^2, (1 + stride^2) C y^2; y^2 = ``pixels`` of the output."""
        return Cost(0, 9 * channels * pixels, (1 + stride**2) * channels * pixels)


class Zero(nn.Module):
    """``none``: no connection; zeros of the shape that a connection would have had."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros of the connection's shape."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def _skip(channels: int, stride: int, affine: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


# name -> (channels, stride, affine, pool_norm) -> module [N, C, H, W] -> [N, C, ceil(H/stride), ceil(W/stride)]
OPERATIONS: dict[str, Callable[[int, int, bool, bool], nn.Module]] = {
    "none": lambda channels, stride, affine, pool_norm: Zero(stride),
    "max_pool_3x3": lambda channels, stride, affine, pool_norm: Pool("max", channels, stride, affine, pool_norm),
    "avg_pool_3x3": lambda channels, stride, affine, pool_norm: Pool("average", channels, stride, affine, pool_norm),
    "skip_connect": lambda channels, stride, affine, pool_norm: _skip(channels, stride, affine),
    "sep_conv_3x3": lambda channels, stride, affine, pool_norm: SeparableConvolution(channels, 3, stride, affine),
    "sep_conv_5x5": lambda channels, stride, affine, pool_norm: SeparableConvolution(channels, 5, stride, affine),
    "dil_conv_3x3": lambda channels, stride, affine, pool_norm: DilatedConvolution(channels, 3, stride, affine),
    "dil_conv_5x5": lambda channels, stride, affine, pool_norm: DilatedConvolution(channels, 5, stride, affine),
    "sep_conv_7x7": lambda channels, stride, affine, pool_norm: SeparableConvolution(channels, 7, stride, affine),
    "conv_7x1_1x7": lambda channels, stride, affine, pool_norm: FactorizedConvolution(channels, 7, stride, affine),
    "conv_1x1": lambda channels, stride, affine, pool_norm: Convolution(channels, 1, stride, affine),
    "conv_3x3": lambda channels, stride, affine, pool_norm: Convolution(channels, 3, stride, affine),
}


def _skip_cost(channels: int, stride: int, pixels: int) -> Cost:
    if stride == 1:  # read once, written once
        return Cost(0, 0, 2 * channels * pixels)
    return FactorizedReduce.cost(channels, channels, pixels)


# name -> (channels, stride, pixels of the output) -> Cost; one that is missing is counted on the built module
COSTS: dict[str, Callable[[int, int, int], Cost]] = {
    "none": lambda channels, stride, pixels: Cost(),
    "max_pool_3x3": Pool.cost,
    "avg_pool_3x3": Pool.cost,
    "skip_connect": _skip_cost,
    "sep_conv_3x3": lambda channels, stride, pixels: SeparableConvolution.cost(channels, 3, stride, pixels),
    "sep_conv_5x5": lambda channels, stride, pixels: SeparableConvolution.cost(channels, 5, stride, pixels),
    "dil_conv_3x3": lambda channels, stride, pixels: DilatedConvolution.cost(channels, 3, stride, pixels),
    "dil_conv_5x5": lambda channels, stride, pixels: DilatedConvolution.cost(channels, 5, stride, pixels),
    "sep_conv_7x7": lambda channels, stride, pixels: SeparableConvolution.cost(channels, 7, stride, pixels),
    "conv_1x1": lambda channels, stride, pixels: Convolution.cost(channels, 1, stride, pixels),
    "conv_3x3": lambda channels, stride, pixels: Convolution.cost(channels, 3, stride, pixels),
}

# operations whose tensors the supernet may stack, one slice per edge; a user's own are kept as separate modules
STACKABLE: set[str] = set(OPERATIONS)


def make_operation(
    name: str, channels: int, stride: int = 1, *, affine: bool = True, pool_norm: bool = False
) -> nn.Module:
    """Build one operation by its name.

    Args:
        name: a key of :data:`OPERATIONS`.
        channels: channels in and out.
        stride: 1, or 2 to halve the sides.
        affine: whether its batch norms learn a scale and an offset.
        pool_norm: whether pooling is followed by batch norm.

    Raises:
        ValueError: there is no such operation.
    """
    if name not in OPERATIONS:
        raise ValueError(f"Unknown operation '{name}'. Allowed: {', '.join(OPERATIONS)}.")
    return OPERATIONS[name](channels, stride, affine, pool_norm)


class Stem(nn.Module):
    """From images in [0, 1] to the first features: normalise by mean and spread, 3x3 convolution, batch norm.

    The channels' mean and standard deviation are buffers, so a saved network takes images as they are.

    Attributes:
        halves: whether the first of the two states that a stem gives has sides twice as large as the second.
    """

    halves = False

    mean: Tensor
    std: Tensor

    def __init__(
        self, in_channels: int, channels: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean or [0.0] * in_channels).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std or [1.0] * in_channels).view(1, -1, 1, 1))
        self.convolution = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the first features [N, channels, H, W] of images [N, in_channels, H, W] in [0, 1]."""
        out: Tensor = self.norm(self.convolution((x - self.mean) / self.std))
        return out

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the first cell's two inputs are given: the same features twice."""
        out: Tensor = self(x)
        return out, out


class ReducingStem(nn.Module):
    """From larger images in [0, 1] to features of an eighth of their sides (224 -> 28): the stem for ImageNet.

    Three 3x3 convolutions of stride 2 (DARTS' public code, cnn/model.py); the first cell's farther input sees the
    features after two of them, with sides twice as large.
    """

    halves = True

    mean: Tensor
    std: Tensor

    def __init__(
        self, in_channels: int, channels: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean or [0.0] * in_channels).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std or [1.0] * in_channels).view(1, -1, 1, 1))
        half = max(1, channels // 2)
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.second = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [N, channels, H / 8, W / 8] of images [N, in_channels, H, W] in [0, 1]."""
        return self.states(x)[1]

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the first cell's two inputs are given: features at a quarter and at an eighth of the sides."""
        farther: Tensor = self.first((x - self.mean) / self.std)
        return farther, self.second(farther)


# name -> stem; "plain" keeps the images' sides, "imagenet" leaves an eighth of them
STEMS: dict[str, type[Stem] | type[ReducingStem]] = {"plain": Stem, "imagenet": ReducingStem}


def drop_path(x: Tensor, probability: float) -> Tensor:
    """Zero whole examples of an edge's output with the given probability and rescale the rest, so the mean stays.

    From FractalNet (arXiv 1605.07648), as DARTS uses it; x is [N, ...].
    """
    if probability <= 0.0:
        return x
    keep = torch.empty(x.shape[0], *[1] * (x.dim() - 1), device=x.device, dtype=x.dtype).bernoulli_(1.0 - probability)
    return x * keep / (1.0 - probability)
