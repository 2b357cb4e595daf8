"""What leaves a node, said without its tensors, and the moments that a forward finds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.supernet.fast.folded import Span

__all__ = ["Kind", "Moments", "Shared", "Spec"]


@dataclass(frozen=True)
class Kind:
    """A depthwise kind of operation with all its slices that run.

    Args:
        slices: how many.
        kernel: side of the kernel.
        dilation: of the kernel.
        separable: whether ReLU, a second kernel and a second pointwise convolution follow; the dilation is 1 then.
        spans: which slices flow into which targets.
    """

    slices: int
    kernel: int
    dilation: int
    separable: bool
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Shared:
    """Operations whose slices all read the same features: pools, or the skip connection of stride 2.

    Args:
        pools: "max" and "average", or one of them, or none: then it is the skip connection.
        slices: how many batch norms: one per pool, or one per slice of the skip connection.
    """

    pools: tuple[str, ...]
    slices: int


@dataclass(frozen=True)
class Spec:
    """What leaves a node, without its tensors.

    The weights are ordered: the identity's row, the shared ones' rows, the kinds' rows. The tensors: the skip
    connection's pointwise convolutions [slices, C, 2 C]; of every kind kernel [slices, C, 1, k, k] and pointwise
    convolution [slices, C, C, 1, 1], and the same again for the second half of a separable one.

    Args:
        stride: of everything.
        targets: how many sums there are.
        identity: whether there is an identity.
        shared: pools and strided skip connection.
        kinds: depthwise kinds.
        eps: of all batch norms.
    """

    stride: int
    targets: int
    identity: bool
    shared: tuple[Shared, ...]
    kinds: tuple[Kind, ...]
    eps: float

    @property
    def skips(self) -> int:
        """How many tensors belong to the skip connection."""
        return sum(not each.pools for each in self.shared)


class Moments:
    """Means and variances [slices, C] of all batch norms, written by a forward: shared, first halves, last ones."""

    shared: list[tuple[Tensor, Tensor]]
    inner: tuple[Tensor, Tensor] | None = None
    last: tuple[Tensor, Tensor] | None = None
