"""A batch norm behind a pointwise convolution as a matrix: equation (1) of :mod:`archgrad.supernet.fast.folded`."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, addcmul

__all__ = ["Normalised", "normalise"]


class Normalised(NamedTuple):
    """Pointwise convolutions that include their batch norm: the right-hand side of (1) and what its gradient needs.

    Args:
        scaled: Q = diag(v + eps)^(-1/2) P, [slices, C, R].
        spread: Q S.
        inverse: (v + eps)^(-1/2), [slices, C, 1].
    """

    scaled: Tensor
    spread: Tensor
    inverse: Tensor

    def back(self, gradient: Tensor, pixels: int, pointwise: bool = True) -> tuple[Tensor | None, Tensor]:
        """Return the gradient of P, and the matrices (dS + dS') / pixels [slices, R, R] of (3).

        With r the sums of G Q over every row: dP = diag(v + eps)^(-1/2) (G - r Q S), dS + dS' = -Q' r Q.

        Args:
            gradient: G, with respect to ``scaled``, [slices, C, R].
            pixels: rows of the features that the covariance was taken of.
            pointwise: whether the gradient of P is wanted.
        """
        rows = (gradient * self.scaled).sum(-1, keepdim=True)
        bend = (self.scaled * rows).mT.bmm(self.scaled).mul_(-1.0 / pixels)
        if not pointwise:
            return None, bend
        return addcmul(gradient, self.spread, rows, value=-1.0).mul_(self.inverse), bend


def normalise(pointwise: Tensor, covariance: Tensor, eps: float) -> tuple[Normalised, Tensor]:
    """Return equation (1), and v [slices, C].

    Args:
        pointwise: P, [slices, C, R].
        covariance: S, [slices, R, R], or [R, R] if all slices read the same features.
        eps: of the batch norms.
    """
    spread = pointwise.bmm(covariance) if covariance.dim() == 3 else pointwise.matmul(covariance)
    variance = (spread * pointwise).sum(-1)
    inverse = (variance + eps).rsqrt_().unsqueeze(-1)
    return Normalised(pointwise * inverse, spread.mul_(inverse), inverse), variance
