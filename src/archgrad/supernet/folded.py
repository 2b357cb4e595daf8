"""Pointwise convolution, batch norm, weighting and sum over candidates as one small matrix product.

Let u be features [pixels, R], centred (their mean over the pixels is taken off), and P a 1x1 convolution [C, R]. A batch
norm without scale and offset is linear in u once its statistics are known, and these follow from the covariance
S = u' u / pixels alone::

    BN(P u) = diag(P S P' + eps)^(-1/2) P u                    (1)
    sum_i w_i BN(P_i u_i) = u M                                (2)

with u all u_i side by side and M [all R, C] the stack of w_i P_i' diag(P_i S_i P_i' + eps)^(-1/2). So no candidate's
output is ever stored. For the backward, with g the gradient of (2)::

    dM = u' g,     du = g M' + u (dS + dS') / pixels           (3)

where dP, dw and dS follow from dM through :func:`fold`, whose matrices are small enough for autograd.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["as_image", "as_matrix", "block_diagonal", "column_means", "covariances", "fold", "pull_back"]


def as_matrix(x: Tensor) -> Tensor:
    """Return an image [N, C, H, W], channels last in memory, as its matrix [N H W, C] without copying."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def as_image(matrix: Tensor, count: int, height: int, width: int) -> Tensor:
    """Return a matrix [N H W, C] as the image [N, C, H, W], channels last in memory, without copying."""
    return matrix.view(count, height, width, -1).permute(0, 3, 1, 2)


def column_means(matrix: Tensor) -> Tensor:
    """Return the mean [C] of every column; as a product, which is quicker than the library's reduction."""
    return matrix.new_full((1, matrix.shape[0]), 1.0 / matrix.shape[0]).mm(matrix).squeeze(0)


def blocks_of(matrix: Tensor, groups: int) -> Tensor:
    """Return the diagonal blocks [groups, R, R'] of a matrix [groups R, groups R']."""
    if groups == 1:
        return matrix.unsqueeze(0)
    rows, columns = matrix.shape[0] // groups, matrix.shape[1] // groups
    return matrix.view(groups, rows, groups, columns).diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def block_diagonal(blocks: Tensor) -> Tensor:
    """Return the matrix [groups R, groups R'] with the given diagonal blocks [groups, R, R'] and zeros elsewhere."""
    groups, rows, columns = blocks.shape
    if groups == 1:
        return blocks[0]
    return torch.einsum("grc,gh->grhc", blocks, torch.eye(groups, dtype=blocks.dtype)).reshape(
        groups * rows, groups * columns
    )


def covariances(centred: Tensor, groups: int) -> Tensor:
    """Return the covariance [groups, R, R] of every group's columns of centred features [pixels, groups R]."""
    return blocks_of(centred.t().mm(centred), groups) / centred.shape[0]


def fold(pointwise: Tensor, weights: Tensor, covariance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return M of equation (2) for several sums at once, and the variances of the batch norms.

    Args:
        pointwise: P, [slices, C, R].
        weights: w, [slices, targets]: how much of every slice flows into every sum.
        covariance: S, [groups, R, R]; groups = slices, or 1 if all slices read the same features.
        eps: of the batch norms.

    Returns:
        M [groups R, targets C] and the variances P S P' [slices, C] of equation (1).
    """
    variance = (pointwise.matmul(covariance) * pointwise).sum(-1)
    scaled = pointwise * (variance + eps).rsqrt().unsqueeze(-1)
    groups, rows = covariance.shape[:2]
    equation = "icr,it->irtc" if groups > 1 else "icr,it->rtc"
    return torch.einsum(equation, scaled, weights).reshape(groups * rows, -1), variance


def pull_back(
    features: Tensor,
    gradient: Tensor,
    pointwise: Tensor,
    weights: Tensor,
    covariance: Tensor,
    eps: float,
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients (3) with respect to features, pointwise and weights.

    Args:
        features: u, centred, [pixels, groups R].
        gradient: g, [pixels, targets C]; with mean 0 in every column, so du is that of the uncentred features too.
        pointwise: as in :func:`fold`, as the next three.
        weights: w.
        covariance: S.
        eps: of the batch norms.
        needs: which of the three gradients are wanted.
    """
    inner = features.t().mm(gradient)
    with torch.enable_grad():
        small = [
            tensor.detach().requires_grad_(need)
            for tensor, need in zip((pointwise, weights, covariance), (*needs[1:], needs[0]), strict=True)
        ]
        matrix, _ = fold(*small, eps)
    wanted = [tensor for tensor in small if tensor.requires_grad]
    found = iter(torch.autograd.grad(matrix, wanted, inner))
    to_pointwise = next(found) if needs[1] else None
    to_weights = next(found) if needs[2] else None
    if not needs[0]:
        return None, to_pointwise, to_weights
    to_covariance = next(found)
    to_features = gradient.mm(matrix.detach().t())
    to_features.addmm_(features, block_diagonal(to_covariance + to_covariance.mT), alpha=1.0 / features.shape[0])
    return to_features, to_pointwise, to_weights
