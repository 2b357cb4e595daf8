"""Pointwise convolution, batch norm, weighting and sum over candidates as one small matrix product.

Let u be features [pixels, R], centred (their mean over the pixels is taken off), and P a 1x1 convolution [C, R]. A
batch norm without scale and offset is linear in u once its statistics are known, and these follow from the covariance
S = u' u / pixels alone::

    BN(P u) = diag(v + eps)^(-1/2) P u,    v = diag(P S P')        (1)
    sum_i w_i BN(P_i u_i) = u M                                    (2)

with u all u_i side by side and M [all R, C] the stack of w_i P_i' diag(v_i + eps)^(-1/2). So no candidate's output is
ever stored. For the backward, with g the gradient of (2)::

    dM = u' g,    du = g M' + u (dS + dS') / pixels                (3)

All functions take stacks: P is [slices, C, R], S [slices, R, R].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Span",
    "add_product",
    "as_image",
    "as_matrix",
    "column_means",
    "cross",
    "gathered",
    "gram_matrices",
    "own_spans",
    "parts",
    "place",
    "place_alone",
    "positions",
    "product_back",
]

WIDTH = 32
"""Columns below which slices are multiplied together, with zeros between them: narrower products are not quicker."""


class Span(NamedTuple):
    """A range of slices that is multiplied at once, and where the result goes.

    Args:
        first: first slice.
        last: the slice behind the last.
        column: first of the matrix's blocks of columns.
        columns: how many blocks of columns.
        out: first block of columns of the result.
    """

    first: int
    last: int
    column: int
    columns: int
    out: int


def packed(channels: int) -> int:
    """Return how many slices are multiplied together."""
    return max(1, WIDTH // channels)


@lru_cache(maxsize=256)
def own_spans(slices: int, channels: int) -> tuple[Span, ...]:
    """Return the spans of products in which every slice keeps to itself; see :func:`positions`."""
    pack = packed(channels)
    firsts = range(0, slices, pack)
    return tuple(Span(first, min(first + pack, slices), 0, min(pack, slices - first), first) for first in firsts)


@lru_cache(maxsize=256)
def positions(slices: tuple[int, ...], channels: int, dtype: torch.dtype) -> Tensor:
    """Return where each slice stands in its span, as rows of 0 and 1, for several kinds one after the other.

    Args:
        slices: how many slices every kind has.
        channels: of every slice.
        dtype: of the result [all slices, slices multiplied together].
    """
    pack = min(packed(channels), max(slices))
    at = torch.tensor([index % pack for count in slices for index in range(count)])
    return torch.nn.functional.one_hot(at, pack).to(dtype)


def as_matrix(x: Tensor) -> Tensor:
    """Return an image [N, C, H, W], channels last in memory, as its matrix [N H W, C] without copying."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def as_image(matrix: Tensor, count: int, height: int, width: int) -> Tensor:
    """Return a matrix [N H W, C] as the image [N, C, H, W], channels last in memory, without copying."""
    return matrix.view(count, height, width, -1).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _average(rows: int, dtype: torch.dtype) -> Tensor:
    return torch.full((1, rows), 1.0 / rows, dtype=dtype)


def column_means(matrix: Tensor) -> Tensor:
    """Return the mean [1, C] of every column; as a product, which is quicker than the library's reduction."""
    return _average(matrix.shape[0], matrix.dtype).mm(matrix)


def gram_matrices(features: Tensor, out: Tensor) -> None:
    """Write u' u, [slices, R, R], of every slice's columns of features [pixels, slices R] into out."""
    slices, rows = out.shape[:2]
    for span in own_spans(slices, rows):
        part, count = features[:, span.first * rows : span.last * rows], span.last - span.first
        if count == 1:
            torch.mm(part.t(), part, out=out[span.first])
        else:
            gram = part.t().mm(part).view(count, rows, count, rows)
            out[span.first : span.last] = gram.diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def place(blocks: Tensor, weights: Tensor) -> Tensor:
    """Return M of (2): the transposed blocks [slices, C, R], each weighted into columns: [slices, R, targets, C].

    Args:
        blocks: ``Normalised.scaled``, or the symmetric matrices of (3).
        weights: [slices, targets].
    """
    # into a contiguous result: the product alone would take over the transposed order
    shape = blocks.shape[0], blocks.shape[2], weights.shape[1], blocks.shape[1]
    return torch.mul(blocks.mT.unsqueeze(2), weights[:, None, :, None], out=blocks.new_empty(shape))


def place_alone(blocks: Tensor, own: Tensor) -> Tensor:
    """Return the symmetric blocks [slices, C, C] where every slice keeps to itself: as :func:`place` does.

    Args:
        blocks: of (3).
        own: from :func:`positions`; a single column says that slices are multiplied one by one.
    """
    return place(blocks, own) if own.shape[1] > 1 else blocks.unsqueeze(2)


def gathered(crossed: Tensor, own: Tensor) -> Tensor:
    """Return the gradient [slices, C, R] of blocks that :func:`place` put where every slice keeps to itself.

    Args:
        crossed: of their matrix, [slices, R, columns, C].
        own: from :func:`positions`.
    """
    return ((crossed * own[:, None, :, None]).sum(2) if own.shape[1] > 1 else crossed.squeeze(2)).mT


def add_product(out: Tensor, features: Tensor, matrix: Tensor, spans: Sequence[Span], fresh: bool = False) -> None:
    """Add u M to out, span by span.

    Args:
        out: [pixels, targets C].
        features: u, [pixels, slices R].
        matrix: M, [slices, R, columns, C].
        spans: which slices go where; all other blocks of the matrix are zero or of no interest.
        fresh: whether to overwrite instead of adding.
    """
    for part, block, result in parts(features, matrix, out, spans):
        if fresh:
            torch.mm(part, block, out=result)
        else:
            result.addmm_(part, block)


def product_back(gradient: Tensor, matrix: Tensor, spans: Sequence[Span]) -> Tensor:
    """Return g M' of (3), [pixels, slices R]; every slice must be in one span."""
    if len(spans) == 1:
        _, block, part = parts(gradient, matrix, gradient, spans)[0]
        return part.mm(block.t())
    back = gradient.new_empty(gradient.shape[0], matrix.shape[0] * matrix.shape[1])
    for result, block, part in parts(back, matrix, gradient, spans):
        torch.mm(part, block.t(), out=result)
    return back


def cross(features: Tensor, gradient: Tensor, out: Tensor, spans: Sequence[Span]) -> None:
    """Write dM = u' g of (3) into out, [slices, R, columns, C] as M is; zero outside the spans."""
    if len(spans) > 1 or spans[0].columns < out.shape[2]:  # one span may still leave targets out
        out.zero_()
    for part, block, given in parts(features, out, gradient, spans):
        torch.mm(part.t(), given, out=block)


def parts(features: Tensor, matrix: Tensor, out: Tensor, spans: Sequence[Span]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return for every span its columns of the features, its block of the matrix and its columns of the result."""
    rows, channels = matrix.shape[1], matrix.shape[3]
    flat = matrix.view(matrix.shape[0] * rows, -1)
    return [
        (
            columns_of(features, first * rows, last * rows),
            columns_of(flat[first * rows : last * rows], column * channels, (column + columns) * channels),
            columns_of(out, at * channels, (at + columns) * channels),
        )
        for first, last, column, columns, at in spans
    ]


def columns_of(matrix: Tensor, start: int, stop: int) -> Tensor:
    """Return some columns, without a new view where they are all."""
    return matrix if start == 0 and stop == matrix.shape[1] else matrix[:, start:stop]
