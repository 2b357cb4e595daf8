"""The products of :mod:`archgrad.supernet.fast.folded` where paths are dropped: every example has its own mask.

With a mask m_i[n] on candidate i of example n, equation (2) there becomes a product per example::

    sum_i w_i m_i[n] BN(P_i u_i)[n] = u[n] M[n],    M[n] = m[n] M        (4)

so the masks scale the small matrices and never the features: as many floating-point operations, the covariance and the
running statistics as before. For the backward, with g the gradient of (4)::

    dM = sum_n m[n] u[n]' g[n],    du[n] = g[n] M[n]' + u[n] (dS + dS') / pixels        (5)

Features are centred over all examples, so the mean of the first term is taken off: here it does not vanish with that of
g. Masks are [N, slices, targets] throughout, 0 or one over the probability of being kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archgrad.supernet.fast.folded import Span, column_means, parts

__all__ = ["add_dropped", "add_dropped_shared", "dropped_back", "dropped_cross", "dropped_shared_back"]


def add_dropped(out: Tensor, features: Tensor, matrix: Tensor, spans: Sequence[Span], masks: Tensor) -> None:
    """Add u[n] M[n] of (4) to out, as :func:`archgrad.supernet.fast.folded.add_product` adds u M."""
    for part, block, result in _parts(features, matrix, out, spans, masks):
        result.baddbmm_(part, block)


def dropped_back(gradient: Tensor, matrix: Tensor, spans: Sequence[Span], masks: Tensor) -> Tensor:
    """Return g[n] M[n]' of (5), its mean taken off, [pixels, slices R]; every slice must be in one span."""
    back = gradient.new_empty(gradient.shape[0], matrix.shape[0] * matrix.shape[1])
    for result, block, part in _parts(back, matrix, gradient, spans, masks):
        torch.bmm(part, block.mT, out=result)
    return back.sub_(column_means(back))


def dropped_cross(features: Tensor, gradient: Tensor, out: Tensor, spans: Sequence[Span], masks: Tensor) -> None:
    """Write dM of (5) into out, [slices, R, columns, C] as M is; zero outside the spans."""
    if len(spans) > 1 or spans[0].columns < out.shape[2]:
        out.zero_()
    for (first, last, column, columns, _), (part, _, given) in zip(
        spans, parts(features, out, gradient, spans), strict=True
    ):
        each = _per_example(part, masks).mT.bmm(_per_example(given, masks))
        each = each.view(-1, last - first, out.shape[1], columns, out.shape[3])
        mask = masks[:, first:last, column : column + columns]
        torch.sum(each * mask[:, :, None, :, None], 0, out=out[first:last, :, column : column + columns])


def add_dropped_shared(out: Tensor, features: Tensor, scaled: Tensor, weights: Tensor, masks: Tensor) -> None:
    """Add u[n] M[n] of (4) to out for slices that read the same features.

    Args:
        out: [pixels, targets C].
        features: u, [pixels, R].
        scaled: of every slice, [slices, C, R].
        weights: [slices, targets].
        masks: [N, slices, targets].
    """
    _per_example(out, masks).baddbmm_(_per_example(features, masks), _mixed(scaled, weights, masks))


def dropped_shared_back(
    features: Tensor, gradient: Tensor, scaled: Tensor, weights: Tensor, masks: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return for slices that read the same features the gradients of features, as in (5), ``scaled`` and weights.

    Args:
        features: u, [pixels, R].
        gradient: g, [pixels, targets C].
        scaled: of every slice, [slices, C, R].
        weights: [slices, targets].
        masks: [N, slices, targets].
    """
    count, _, targets = masks.shape
    given = _per_example(gradient, masks)
    back = given.bmm(_mixed(scaled, weights, masks).mT).flatten(0, 1)
    each = _per_example(features, masks).mT.bmm(given).unflatten(2, (targets, -1))  # [N, R, targets, C]
    each = each.permute(2, 0, 3, 1).reshape(targets, count, -1)
    inner = masks.permute(2, 1, 0).bmm(each)  # [targets, slices, C R]
    to_scaled = (inner * weights.t().unsqueeze(-1)).sum(0).view_as(scaled)
    to_weights = (inner * scaled.flatten(1)).sum(-1).t()
    return back.sub_(column_means(back)), to_scaled, to_weights


def _mixed(scaled: Tensor, weights: Tensor, masks: Tensor) -> Tensor:
    """Return M[n] of slices that read the same features, [N, R, targets C]."""
    slices = masks.shape[1]
    found = (weights * masks).transpose(1, 2).reshape(-1, slices).mm(scaled.flatten(1))
    return found.view(len(masks), -1, scaled.shape[2]).mT  # [N, targets C, R] before


def _per_example(matrix: Tensor, masks: Tensor) -> Tensor:
    """Return a matrix over all pixels as one per example, [N, pixels / N, columns]."""
    return matrix.view(len(masks), -1, matrix.shape[1])


def _parts(
    features: Tensor, matrix: Tensor, out: Tensor, spans: Sequence[Span], masks: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return for every span its columns of the features, its M[n] and its columns of the result, per example."""
    found = []
    for span, (part, block, result) in zip(spans, parts(features, matrix, out, spans), strict=True):
        first, last, column, columns, _ = span
        mask = masks[:, first:last, None, column : column + columns, None]
        shape = last - first, matrix.shape[1], columns, matrix.shape[3]
        each = (block.view(shape) * mask).view(len(masks), *block.shape)
        found.append((_per_example(part, masks), each, _per_example(result, masks)))
    return found
