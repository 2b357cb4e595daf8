"""Small matrices and means of the fast evaluation: pure functions without a node."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.supernet.fast.depthwise import depthwise
from archgrad.supernet.fast.folded import as_image, as_matrix, column_means
from archgrad.supernet.leaving.spec import Kind

__all__ = [
    "mean_image",
    "means_behind",
    "mixed",
    "mixed_back",
    "negative_mean",
    "nine",
    "spread",
    "summed_copies",
    "unit_parts",
    "window_shares",
]


def mean_image(x: Tensor) -> Tensor:
    """Return the mean [1, C, H, W] of an image [N, C, H, W] over its examples."""
    return as_image(column_means(x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)).view(-1, x.shape[1]), 1, *x.shape[2:])


def negative_mean(mean: Tensor, kernel: Tensor, stride: int, kind: Kind | None, out: Tensor) -> None:
    """Write minus the mean over examples and pixels of a depthwise convolution, from the mean image of its input.

    Args:
        mean: [1, C, H, W].
        kernel: [C or slices C, 1, k, k].
        stride: of the convolution.
        kind: whose first convolution it is, with the mean still to be repeated; None for a second one.
        out: [C or slices C].
    """
    if kind is not None:
        mean = mean.repeat(1, kind.slices, 1, 1)
    image = depthwise(mean, kernel, None, stride, 1 if kind is None else kind.dilation)
    torch.neg(column_means(as_matrix(image)).squeeze(0), out=out)


def means_behind(pointwise: Tensor, shifts: Tensor) -> Tensor:
    """Return the means [slices, C] behind pointwise convolutions of features whose negative means are given."""
    return pointwise.matmul(shifts.view(-1, pointwise.shape[2], 1)).squeeze(-1).neg_()


def mixed(scaled: Tensor, weights: Tensor) -> Tensor:
    """Return M [R, targets C] of slices [slices, C, R] that read the same features, weighted [slices, targets]."""
    channels, rows = scaled.shape[1:]
    return weights.t().mm(scaled.flatten(1)).view(-1, channels, rows).permute(2, 0, 1).reshape(rows, -1)


def mixed_back(features: Tensor, gradient: Tensor, scaled: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of features, ``scaled`` and weights behind :func:`mixed`.

    Args:
        features: u, [pixels, R], which were multiplied by M.
        gradient: of the product, [pixels, targets C].
        scaled: of every slice, [slices, C, R].
        weights: [slices, targets].
    """
    channels, rows = scaled.shape[1:]
    inner = features.t().mm(gradient).view(rows, -1, channels).permute(1, 2, 0).reshape(-1, channels * rows)
    back = gradient.mm(mixed(scaled, weights).t())
    return back, weights.mm(inner).view_as(scaled), scaled.flatten(1).mm(inner.t())


def spread(weights: Tensor, channels: int) -> Tensor:
    """Return the matrix [C, targets C] that adds the same features, weighted [targets], to every target."""
    unit = unit_parts(channels, 1, weights.dtype)[0]
    return (unit.unsqueeze(1) * weights[None, :, None]).view(channels, -1)


@lru_cache(maxsize=64)
def unit_parts(channels: int, parts: int, dtype: torch.dtype) -> Tensor:
    """Return for each of several parts of R = parts C features the matrix [parts, C, R] that takes it."""
    return torch.eye(channels * parts, dtype=dtype).view(parts, channels, -1)


@lru_cache(maxsize=64)
def summed_copies(channels: int, copies: int, dtype: torch.dtype) -> Tensor:
    """Return the matrix [copies C, C] that sums the copies."""
    return torch.eye(channels, dtype=dtype).repeat(copies, 1)


def nine(x: Tensor) -> Tensor:
    """Return the kernels [C, 1, 3, 3] that sum over a window of nine pixels."""
    return x.new_ones(x.shape[1], 1, 3, 3)


@lru_cache(maxsize=64)
def window_shares(height: int, width: int, stride: int, dtype: torch.dtype) -> Tensor:
    """Return one over the number of pixels that a 3x3 window holds at every place, [1, 1, rows, columns]."""
    rows, columns = (
        functional.avg_pool1d(torch.ones(1, 1, side, dtype=dtype), 3, stride, 1).flatten() for side in (height, width)
    )
    return (1.0 / (9.0 * rows[:, None] * columns[None, :])).view(1, 1, len(rows), len(columns))
