"""Small matrices and means of the fast evaluation: pure functions without a node."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.supernet.fast.folded import column_means

__all__ = [
    "means_behind",
    "mixed",
    "mixed_back",
    "negative_means",
    "nine",
    "pixel_means",
    "spread",
    "summed_copies",
    "unit_parts",
    "window_means",
    "window_shares",
]


def pixel_means(x: Tensor) -> Tensor:
    """Return the mean [H W, C] of an image [N, C, H, W] over its examples."""
    return column_means(x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)).view(-1, x.shape[1])


@lru_cache(maxsize=64)
def window_means(
    height: int, width: int, stride: int, windows: tuple[tuple[int, int], ...], dtype: torch.dtype
) -> Tensor:
    """Return what averages over all places of a window what each of its taps reads, negated: [all taps, H W].

    Args:
        height: of the image.
        width: of the image.
        stride: distance of the places.
        windows: (side, dilation) of every window; the padding keeps the image's sides, but for the stride.
        dtype: of the result.
    """
    found = []
    for side, dilation in windows:
        along = []
        for pixels in (height, width):
            places = torch.arange(0, pixels, stride)
            read = places[None, :] + dilation * (torch.arange(side)[:, None] - side // 2)  # [taps, places]
            hits = read[:, :, None] == torch.arange(pixels)  # what lies outside the image hits nothing
            along.append(hits.to(dtype).sum(1) / len(places))
        found.append((-along[0][:, None, :, None] * along[1][None, :, None, :]).reshape(side * side, height * width))
    return torch.cat(found)


def negative_means(seen: Tensor, kernel: Tensor, out: Tensor) -> None:
    """Write minus the mean over examples and pixels of a depthwise convolution.

    Args:
        seen: minus what every tap reads on average, [taps, channels], from :func:`window_means`.
        kernel: [slices, C, 1, k, k]; channels are C if all slices read the same, or slices C.
        out: [slices C].
    """
    weighted = kernel.view(-1, seen.shape[1], seen.shape[0]) * seen.t()
    torch.sum(weighted, -1, out=out.view(-1, seen.shape[1]))


def means_behind(pointwise: Tensor, shifts: Tensor) -> Tensor:
    """Return the means [slices, C] behind pointwise convolutions of features whose negative means are given."""
    return pointwise.bmm(shifts.view(-1, pointwise.shape[2], 1)).squeeze(-1).neg_()


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


@lru_cache(maxsize=64)
def nine(channels: int, dtype: torch.dtype) -> Tensor:
    """Return the kernels [C, 1, 3, 3] that sum over a window of nine pixels."""
    return torch.ones(channels, 1, 3, 3, dtype=dtype)


@lru_cache(maxsize=64)
def window_shares(height: int, width: int, stride: int, dtype: torch.dtype) -> Tensor:
    """Return one over the number of pixels that a 3x3 window holds at every place, [1, 1, rows, columns]."""
    rows, columns = (
        functional.avg_pool1d(torch.ones(1, 1, side, dtype=dtype), 3, stride, 1).flatten() for side in (height, width)
    )
    return (1.0 / (9.0 * rows[:, None] * columns[None, :])).view(1, 1, len(rows), len(columns))
