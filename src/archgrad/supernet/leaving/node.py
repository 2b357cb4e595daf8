"""One pass over a node: its tensors by their places, and the features that forward and backward both need."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.supernet.fast import folded
from archgrad.supernet.fast.depthwise import depthwise, repeated
from archgrad.supernet.fast.folded import as_image, as_matrix
from archgrad.supernet.leaving.matrices import nine, pixel_means, unit_parts, window_means, window_shares
from archgrad.supernet.leaving.spec import Kind, Shared, Spec

__all__ = ["NodePass"]


class NodePass:
    """One pass over a node, forward or backward; nothing here is differentiated by autograd.

    Args:
        spec: what leaves the node.
        x: its state [N, C, H, W].
        weights: of everything that leaves it, [rows, targets].
        tensors: in the order that :class:`Spec` says.
        masks: of dropped paths, [N, rows, targets]; None where none are dropped. The identity's row is not read.

    Attributes:
        kept: what a forward leaves for its backward.
    """

    def __init__(
        self, spec: Spec, x: Tensor, weights: Tensor, tensors: Sequence[Tensor], masks: Tensor | None = None
    ) -> None:
        self.spec, self.x, self.weights, self.tensors, self.masks = spec, x, weights, tensors, masks
        self.count, self.channels, self.height, self.width = x.shape
        self.sides = -(-self.height // spec.stride), -(-self.width // spec.stride)
        self.pixels = self.count * self.sides[0] * self.sides[1]
        self.kept: list[Tensor] = []
        self._relu: dict[int, Tensor] = {}
        self._seen: Tensor | None = None
        # positions of every kind's tensors and of its slices among all kinds and among the separable ones
        at, place_, inner = spec.skips, 0, 0
        self.kernels: list[int] = []
        self.places: list[slice] = []
        self.inner: list[slice | None] = []
        for kind in spec.kinds:
            self.kernels.append(at)
            self.places.append(slice(place_, place_ + kind.slices))
            self.inner.append(slice(inner, inner + kind.slices) if kind.separable else None)
            at, place_ = at + (4 if kind.separable else 2), place_ + kind.slices
            inner += kind.slices if kind.separable else 0
        self.all_slices, self.inner_slices = place_, inner
        rows = int(spec.identity)
        self.shared_rows: list[slice] = []
        for each in spec.shared:
            self.shared_rows.append(slice(rows, rows + each.slices))
            rows += each.slices
        self.kind_weights = weights[rows:]
        self.kind_masks = None if masks is None else masks[:, rows:]

    def relu(self, copies: int = 1) -> Tensor:
        """Return max(x, 0), its channels repeated: [N, copies C, H, W]."""
        if copies not in self._relu:
            self._relu[copies] = functional.relu(self.x) if copies == 1 else repeated(self.relu(), copies)
        return self._relu[copies]

    def out_image(self, matrix: Tensor) -> Tensor:
        """Return a matrix over the pixels behind the stride as an image."""
        return as_image(matrix, self.count, *self.sides)

    def kernel(self, index: int) -> Tensor:
        """Return a kernel [slices, C, 1, k, k] as [slices C, 1, k, k]."""
        return self.tensors[index].flatten(0, 1)

    def pointwise(self, first: bool) -> Tensor:
        """Return the stacked pointwise convolutions of all first halves, or all last ones, [slices, C, C]."""
        found = []
        for kind, at in zip(self.spec.kinds, self.kernels, strict=True):
            if first and kind.separable:
                found.append(self.tensors[at + 1])
            elif not first:
                found.append(self.tensors[at + (3 if kind.separable else 1)])
        return (torch.cat(found) if len(found) > 1 else found[0]).flatten(2)

    def own(self, inner: bool) -> Tensor:
        """Return the positions of slices in products in which every slice keeps to itself."""
        kinds = tuple(kind.slices for kind in self.spec.kinds if kind.separable or not inner)
        return folded.positions(kinds, self.channels, self.x.dtype)

    def convolved(self, kind: Kind, at: int, shift: Tensor | None) -> Tensor:
        """Return a kind's first depthwise convolution as a matrix, with its mean taken off by the bias, if given."""
        x = self.relu(kind.slices)
        return as_matrix(depthwise(x, self.kernel(at), shift, self.spec.stride, kind.dilation))

    def convolved_again(self, at: int, middle: Tensor, shift: Tensor | None) -> Tensor:
        """Return a separable kind's second depthwise convolution as a matrix, with its mean taken off."""
        return as_matrix(depthwise(middle, self.kernel(at + 2), shift))

    def first_seen(self, index: int) -> Tensor:
        """Return minus what the taps of a kind's first kernel read on average, [taps, C]; found once for all kinds."""
        windows = tuple((kind.kernel, kind.dilation) for kind in self.spec.kinds)
        if self._seen is None:
            means = window_means(self.height, self.width, self.spec.stride, windows, self.x.dtype)
            self._seen = means.mm(pixel_means(self.relu()))
        first = sum(side * side for side, _ in windows[:index])
        return self._seen[first : first + windows[index][0] ** 2]

    def second_seen(self, kind: Kind, middle: Tensor) -> Tensor:
        """Return minus what the taps of a separable kind's second kernel read on average, [taps, slices C]."""
        means = window_means(*self.sides, 1, ((kind.kernel, 1),), self.x.dtype)
        return means.mm(pixel_means(middle))

    def shared_pointwise(self, each: Shared) -> Tensor:
        """Return the pointwise convolutions [slices, C, R]: the identity of every pool, or the skip connection's."""
        if not each.pools:
            return self.tensors[0]
        return unit_parts(self.channels, len(each.pools), self.x.dtype)

    def shared_features(self, each: Shared) -> tuple[Tensor, Tensor | None]:
        """Return features [pixels, R], and where the maxima of a pool were found."""
        if not each.pools:
            return self.squares(), None
        pooled, found = [], None
        for pool in each.pools:
            if pool == "max":
                image, found = functional.max_pool2d(self.x, 3, self.spec.stride, 1, return_indices=True)
            else:
                image = depthwise(self.x, nine(self.channels, self.x.dtype), None, self.spec.stride).mul_(self.shares())
            pooled.append(as_matrix(image))
        return torch.cat(pooled, dim=1) if len(pooled) > 1 else pooled[0], found

    def squares(self) -> Tensor:
        """Return the pixels (0, 0) and (1, 1) of every 2x2 square of the ReLU, [pixels, 2 C]."""
        image = self.relu()
        padded = functional.pad(image, (0, self.width % 2, 0, self.height % 2))
        return torch.cat([as_matrix(image[:, :, ::2, ::2]), as_matrix(padded[:, :, 1::2, 1::2])], dim=1)

    def shares(self) -> Tensor:
        """Return one over the number of pixels that a 3x3 window holds at every place, fewer at the edge."""
        return window_shares(self.height, self.width, self.spec.stride, self.x.dtype)
