"""Everything that leaves one node as one autograd function: forward and backward of the fast evaluation.

What the terms of a node have in common is computed once: ReLU, pools, the gradient's mean. Depthwise kinds of
operations (``dil_conv``, ``sep_conv``) run with all their slices side by side, and the small matrices of
:mod:`archgrad.supernet.folded` are computed for all kinds at once. Between forward and backward only the node itself
and the inner features of separable convolutions are kept; the rest is cheaper to compute again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.supernet import folded
from archgrad.supernet.depthwise import depthwise, depthwise_input_gradient, depthwise_weight_gradient, repeated
from archgrad.supernet.folded import Span, as_image, as_matrix, column_means, normalise, place
from archgrad.supernet.leaving_plain import differentiable

__all__ = ["Kind", "Leaving", "Shared", "Spec"]


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


class Leaving(torch.autograd.Function):
    """(spec, moments, x [N, C, H, W], weights [rows, targets], *tensors) -> sums [N, targets C, H', W']."""

    @staticmethod
    def forward(ctx: Any, spec: Spec, moments: Moments, x: Tensor, weights: Tensor, *tensors: Tensor) -> Tensor:
        """Return the sums and fill the moments."""
        node = _Node(spec, x, weights, tensors)
        out = node.forward(moments)
        ctx.spec, ctx.counts = spec, (len(tensors), len(node.kept))
        ctx.save_for_backward(x, weights, *tensors, *node.kept)
        return node.out_image(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; under ``create_graph`` such that they can be differentiated again."""
        x, weights, *rest = ctx.saved_tensors
        tensors, kept = rest[: ctx.counts[0]], rest[ctx.counts[0] :]
        needs = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            return None, None, *differentiable(ctx.spec, x, weights, tensors, gradients[0], needs)
        node = _Node(ctx.spec, x, weights, tensors)
        node.kept = kept
        return None, None, *node.backward(gradients[0], needs)


class _Node:
    """One pass over a node, forward or backward; nothing here is differentiated by autograd."""

    def __init__(self, spec: Spec, x: Tensor, weights: Tensor, tensors: Sequence[Tensor]) -> None:
        self.spec, self.x, self.weights, self.tensors = spec, x, weights, tensors
        self.count, self.channels, self.height, self.width = x.shape
        self.sides = -(-self.height // spec.stride), -(-self.width // spec.stride)
        self.pixels = self.count * self.sides[0] * self.sides[1]
        self.kept: list[Tensor] = []
        self._relu: dict[int, Tensor] = {}
        self._mean_relu: Tensor | None = None
        self.to_x: Tensor | None = None  # gradients, as matrices
        self.to_relu: Tensor | None = None
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

    # --- what the terms share

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
        return torch.cat(found).flatten(2)

    def own(self, inner: bool) -> Tensor:
        """Return the positions of slices in products in which every slice keeps to itself."""
        kinds = tuple(kind.slices for kind in self.spec.kinds if kind.separable or not inner)
        return folded.positions(kinds, self.channels, self.x.dtype)

    def convolved(self, kind: Kind, at: int, shift: Tensor) -> Tensor:
        """Return a kind's first depthwise convolution as a matrix, with its mean taken off by the bias."""
        x = self.relu(kind.slices)
        return as_matrix(depthwise(x, self.kernel(at), shift, self.spec.stride, kind.dilation))

    def convolved_again(self, at: int, middle: Tensor, shift: Tensor) -> Tensor:
        """Return a separable kind's second depthwise convolution as a matrix, with its mean taken off."""
        return as_matrix(depthwise(middle, self.kernel(at + 2), shift))

    # --- forward

    def forward(self, moments: Moments) -> Tensor:
        """Return the sums [pixels, targets C]; note what is to be kept."""
        spec, C = self.spec, self.channels
        out: Tensor | None = None
        if spec.identity:
            out = as_matrix(self.x).mm(_spread(self.weights[0], C))
        moments.shared = []
        for each, rows in zip(spec.shared, self.shared_rows, strict=True):
            features, mean, keep = self.shared_features(each)
            covariance = features.t().mm(features) / self.pixels
            point = self.shared_pointwise(each)
            normalised = normalise(point, covariance, spec.eps)
            matrix = _mixed(normalised.scaled, self.weights[rows])
            out = features.mm(matrix) if out is None else out.addmm_(features, matrix)
            moments.shared.append((point.matmul(mean.view(-1, 1)).squeeze(-1), normalised.variance))
            self.kept += [covariance, *keep]
        if not spec.kinds:
            assert out is not None
            return out
        shifts = self.x.new_empty(self.all_slices * C)
        features_of: list[Tensor] = [self.x] * len(spec.kinds)
        middles = self.forward_inner(moments, shifts)
        covariance = self.x.new_empty(self.all_slices, C, C)
        mean_relu = self.mean_relu()
        for index, (kind, at, where) in enumerate(zip(spec.kinds, self.kernels, self.places, strict=True)):
            shift = shifts[where.start * C : where.stop * C]
            middle = middles[index]
            if middle is None:
                _negative_mean(mean_relu, self.kernel(at), spec.stride, kind, shift)
                features_of[index] = self.convolved(kind, at, shift)
            else:
                _negative_mean(_mean_image(middle), self.kernel(at + 2), 1, None, shift)
                features_of[index] = self.convolved_again(at, middle, shift)
            folded.covariances(features_of[index], covariance[where])
        normalised = normalise(self.pointwise(first=False), covariance, spec.eps)
        matrix = place(normalised.scaled, self.kind_weights)
        if out is None:
            out = self.x.new_zeros(self.pixels, spec.targets * C)
        for index, (kind, where) in enumerate(zip(spec.kinds, self.places, strict=True)):
            folded.add_product(out, features_of[index], matrix[where], kind.spans)
        moments.last = _means(normalised.pointwise, shifts), normalised.variance
        self.kept += [covariance, shifts]
        return out

    def forward_inner(self, moments: Moments, shifts: Tensor) -> list[Tensor | None]:
        """Return the inner features of separable kinds, None for the others."""
        C = self.channels
        found: list[Tensor | None] = [None] * len(self.spec.kinds)
        if not self.inner_slices:
            return found
        covariance = self.x.new_empty(self.inner_slices, C, C)
        inner_shifts = self.x.new_empty(self.inner_slices * C)
        mean_relu = self.mean_relu()
        features_of = []
        for kind, at, where in zip(self.spec.kinds, self.kernels, self.inner, strict=True):
            if where is not None:
                shift = inner_shifts[where.start * C : where.stop * C]
                _negative_mean(mean_relu, self.kernel(at), self.spec.stride, kind, shift)
                features_of.append(self.convolved(kind, at, shift))
                folded.covariances(features_of[-1], covariance[where])
        normalised = normalise(self.pointwise(first=True), covariance, self.spec.eps)
        matrix = place(normalised.scaled, self.own(inner=True))
        for index, (kind, where) in enumerate(zip(self.spec.kinds, self.inner, strict=True)):
            if where is not None:
                features = features_of.pop(0)
                middle = torch.empty_like(features)
                spans = folded.own_spans(kind.slices, C)
                folded.add_product(middle, features, matrix[where], spans, fresh=True)
                found[index] = self.out_image(middle.clamp_min_(0))
        moments.inner = _means(normalised.pointwise, inner_shifts), normalised.variance
        self.kept += [covariance, inner_shifts, *(middle for middle in found if middle is not None)]
        return found

    def mean_relu(self) -> Tensor:
        """Return the mean of the ReLU over the examples, [1, C, H, W]."""
        if self._mean_relu is None:
            self._mean_relu = _mean_image(self.relu())
        return self._mean_relu

    def shared_pointwise(self, each: Shared) -> Tensor:
        """Return the pointwise convolutions [slices, C, R]: the identity of every pool, or the skip connection's."""
        if not each.pools:
            return self.tensors[0]
        return _unit(self.channels, len(each.pools), self.x.dtype)

    def shared_features(self, each: Shared) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return features [pixels, R] centred, their mean [1, R], and what to keep."""
        keep: list[Tensor] = []
        if not each.pools:
            features = self.squares()
        else:
            pooled = []
            for pool in each.pools:
                if pool == "max":
                    image, found = functional.max_pool2d(self.x, 3, self.spec.stride, 1, return_indices=True)
                    keep.append(found.to(torch.int32))
                else:
                    image = depthwise(self.x, _nine(self.x), None, self.spec.stride).mul_(self.shares())
                pooled.append(as_matrix(image))
            features = torch.cat(pooled, dim=1) if len(pooled) > 1 else pooled[0]
        mean = column_means(features)
        features -= mean
        return features, mean, [features, *keep] if each.pools else [mean]

    def squares(self) -> Tensor:
        """Return the pixels (0, 0) and (1, 1) of every 2x2 square of the ReLU, [pixels, 2 C]."""
        image = self.relu()
        padded = functional.pad(image, (0, self.width % 2, 0, self.height % 2))
        return torch.cat([as_matrix(image[:, :, ::2, ::2]), as_matrix(padded[:, :, 1::2, 1::2])], dim=1)

    def shares(self) -> Tensor:
        """Return one over the number of pixels that a 3x3 window holds at every place, fewer at the edge."""
        return _shares(self.height, self.width, self.spec.stride, self.x.dtype)

    # --- backward

    def backward(self, gradient: Tensor, needs: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradients of x, weights and tensors, where needed."""
        spec, C = self.spec, self.channels
        to_out = as_matrix(gradient.contiguous(memory_format=torch.channels_last))
        # batch norm takes no notice of a constant: with a centred gradient the features' means need no care
        centred = to_out - column_means(to_out)
        to_tensors: list[Tensor | None] = [None] * len(self.tensors)
        to_weights = []
        if spec.identity:
            inner = as_matrix(self.x).t().mm(to_out).view(C, spec.targets, C)
            to_weights.append(inner.diagonal(dim1=0, dim2=2).sum(-1).unsqueeze(0))
            if needs[0]:
                self.add_to_x(to_out.mm(_spread(self.weights[0], C).t()))
        kept = iter(self.kept)
        for each, rows in zip(spec.shared, self.shared_rows, strict=True):
            covariance, first = next(kept), next(kept)
            found = next(kept) if "max" in each.pools else None
            features = first if each.pools else self.squares() - first
            normalised = normalise(self.shared_pointwise(each), covariance, spec.eps)
            weights = self.weights[rows]
            inner = features.t().mm(centred).view(-1, spec.targets, C).permute(1, 2, 0).reshape(spec.targets, -1)
            to_weights.append(normalised.scaled.flatten(1).mm(inner.t()))
            to_point, bend = normalised.back(weights.mm(inner).view_as(normalised.scaled), self.pixels)
            if not each.pools:
                to_tensors[0] = to_point if needs[2] else None
            if needs[0]:
                back = centred.mm(_mixed(normalised.scaled, weights).t()).addmm_(features, bend.sum(0))
                self.shared_back(each, back, found)
        if spec.kinds:
            separable = sum(kind.separable for kind in spec.kinds)
            inner_kept = [next(kept) for _ in range(2 + separable)] if separable else []
            to_weights.append(self.kinds_back(centred, inner_kept, next(kept), next(kept), to_tensors, needs))
        return [self.gradient() if needs[0] else None, torch.cat(to_weights) if needs[1] else None, *to_tensors]

    def kinds_back(
        self,
        gradient: Tensor,
        inner: Sequence[Tensor],
        covariance: Tensor,
        shifts: Tensor,
        to_tensors: list[Tensor | None],
        needs: Sequence[bool],
    ) -> Tensor:
        """Write the gradients of the kinds' tensors and return that of their weights."""
        spec, C = self.spec, self.channels
        normalised = normalise(self.pointwise(first=False), covariance, spec.eps)
        matrix = place(normalised.scaled, self.kind_weights)
        middles = iter(inner[2:])
        features_of, middle_of, crossed = [], [], []
        for kind, at, where in zip(spec.kinds, self.kernels, self.places, strict=True):
            shift = shifts[where.start * C : where.stop * C]
            middle = next(middles) if kind.separable else None
            middle_of.append(middle)
            features_of.append(
                self.convolved(kind, at, shift) if middle is None else self.convolved_again(at, middle, shift)
            )
            crossed.append(folded.cross(features_of[-1], gradient, matrix[where], kind.spans))
        to_matrix = torch.cat(crossed)
        to_weights = (to_matrix * normalised.scaled.mT.unsqueeze(2)).sum((1, 3))
        to_scaled = (to_matrix * self.kind_weights[:, None, :, None]).sum(2).mT
        to_point, bend = normalised.back(to_scaled, self.pixels)
        bends = place(bend, self.own(inner=False))
        first_gradients: list[tuple[Kind, int, slice, Tensor]] = []
        for index, (kind, at, where) in enumerate(zip(spec.kinds, self.kernels, self.places, strict=True)):
            last = at + (3 if kind.separable else 1)
            if needs[2 + last]:
                to_tensors[last] = to_point[where].view_as(self.tensors[last])
            if not (needs[0] or any(needs[2 + at : 2 + last])):
                continue
            back = folded.product_back(gradient, matrix[where], kind.spans)
            folded.add_product(back, features_of[index], bends[where], folded.own_spans(kind.slices, C))
            features_of[index] = back  # the features are not needed any more
            middle, inside = middle_of[index], self.inner[index]
            if middle is None or inside is None:
                self.first_kernel_back(kind, at, back, to_tensors, needs)
                continue
            image = self.out_image(back)
            if needs[2 + at + 2]:
                found = depthwise_weight_gradient(middle, image, kind.kernel, 1, 1)
                to_tensors[at + 2] = found.view_as(self.tensors[at + 2])
            back = as_matrix(depthwise_input_gradient(image, self.kernel(at + 2), middle.shape[2:], 1, 1))
            back = torch.ops.aten.threshold_backward(back, as_matrix(middle), 0)
            back -= column_means(back)
            first_gradients.append((kind, at, inside, back))
        if first_gradients:
            self.inner_back(first_gradients, inner[0], inner[1], to_tensors, needs)
        return to_weights

    def inner_back(
        self,
        gradients: Sequence[tuple[Kind, int, slice, Tensor]],
        covariance: Tensor,
        shifts: Tensor,
        to_tensors: list[Tensor | None],
        needs: Sequence[bool],
    ) -> None:
        """Write the gradients of the first halves of separable kinds."""
        C = self.channels
        normalised = normalise(self.pointwise(first=True), covariance, self.spec.eps)
        own = self.own(inner=True)
        matrix = place(normalised.scaled, own)
        to_scaled = torch.zeros_like(normalised.scaled)
        features_of = []
        for kind, at, where, back in gradients:
            features = self.convolved(kind, at, shifts[where.start * C : where.stop * C])
            features_of.append(features)
            crossed = folded.cross(features, back, matrix[where], folded.own_spans(kind.slices, C))
            to_scaled[where] = (crossed * own[where][:, None, :, None]).sum(2).mT
        to_point, bend = normalised.back(to_scaled, self.pixels)
        bends = place(bend, own)
        for (kind, at, where, back), features in zip(gradients, features_of, strict=True):
            if needs[2 + at + 1]:
                to_tensors[at + 1] = to_point[where].view_as(self.tensors[at + 1])
            if needs[0] or needs[2 + at]:
                spans = folded.own_spans(kind.slices, C)
                to_features = folded.product_back(back, matrix[where], spans)
                folded.add_product(to_features, features, bends[where], spans)
                self.first_kernel_back(kind, at, to_features, to_tensors, needs)

    def first_kernel_back(
        self, kind: Kind, at: int, gradient: Tensor, to_tensors: list[Tensor | None], needs: Sequence[bool]
    ) -> None:
        """Write the gradient of a kind's first kernel, and add the ReLU's."""
        image = self.out_image(gradient)
        if needs[2 + at]:
            stride, copies = self.spec.stride, kind.slices
            found = depthwise_weight_gradient(self.relu(), image, kind.kernel, stride, kind.dilation, copies)
            to_tensors[at] = found.view_as(self.tensors[at])
        if needs[0]:
            sides = self.x.shape[2:]
            back = depthwise_input_gradient(image, self.kernel(at), sides, self.spec.stride, kind.dilation)
            self.add_to_relu(as_matrix(back), kind.slices)

    def shared_back(self, each: Shared, gradient: Tensor, found: Tensor | None) -> None:
        """Add the gradient of pools or of the strided skip connection to the node's own."""
        parts = self.out_image(gradient).split(self.channels, dim=1)
        if not each.pools:
            back = torch.zeros_like(self.x)
            back[:, :, ::2, ::2] = parts[0]
            back[:, :, 1::2, 1::2] = parts[1][:, :, : self.height // 2, : self.width // 2]
            self.add_to_relu(as_matrix(back), 1)
            return
        for pool, part in zip(each.pools, parts, strict=True):
            if pool == "max":
                assert found is not None
                back = torch.ops.aten.max_pool2d_with_indices_backward(
                    part.contiguous(memory_format=torch.channels_last),
                    self.x,
                    [3, 3],
                    [self.spec.stride] * 2,
                    [1, 1],
                    [1, 1],
                    False,
                    found.to(torch.int64),
                )
            else:
                part = part * self.shares()
                back = depthwise_input_gradient(part, _nine(self.x), self.x.shape[2:], self.spec.stride, 1)
            self.add_to_x(as_matrix(back))

    def add_to_x(self, gradient: Tensor) -> None:
        """Add a gradient with respect to the state, a matrix that may be changed afterwards."""
        self.to_x = gradient if self.to_x is None else self.to_x.add_(gradient)

    def add_to_relu(self, gradient: Tensor, copies: int) -> None:
        """Add a gradient [H W N, copies C] with respect to :meth:`relu`."""
        if copies == 1:
            self.to_relu = gradient if self.to_relu is None else self.to_relu.add_(gradient)
            return
        total = _summed(self.channels, copies, self.x.dtype)
        self.to_relu = gradient.mm(total) if self.to_relu is None else self.to_relu.addmm_(gradient, total)

    def gradient(self) -> Tensor:
        """Return the sum of everything that came back, [N, C, H, W]."""
        if self.to_relu is not None:
            self.add_to_x(torch.ops.aten.threshold_backward(self.to_relu, as_matrix(self.x), 0))
        if self.to_x is None:
            return torch.zeros_like(self.x)
        return as_image(self.to_x, self.count, self.height, self.width)


def _mean_image(x: Tensor) -> Tensor:
    """Return the mean [1, C, H, W] of an image [N, C, H, W] over its examples."""
    return as_image(column_means(x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)).view(-1, x.shape[1]), 1, *x.shape[2:])


def _negative_mean(mean: Tensor, kernel: Tensor, stride: int, kind: Kind | None, out: Tensor) -> None:
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


def _means(pointwise: Tensor, shifts: Tensor) -> Tensor:
    """Return the means [slices, C] behind pointwise convolutions of features whose negative means are given."""
    return pointwise.matmul(shifts.view(-1, pointwise.shape[2], 1)).squeeze(-1).neg_()


def _mixed(scaled: Tensor, weights: Tensor) -> Tensor:
    """Return M [R, targets C] of slices [slices, C, R] that read the same features, weighted [slices, targets]."""
    channels, rows = scaled.shape[1:]
    return weights.t().mm(scaled.flatten(1)).view(-1, channels, rows).permute(2, 0, 1).reshape(rows, -1)


def _spread(weights: Tensor, channels: int) -> Tensor:
    """Return the matrix [C, targets C] that adds the same features, weighted [targets], to every target."""
    unit = _unit(channels, 1, weights.dtype)[0]
    return (unit.unsqueeze(1) * weights[None, :, None]).view(channels, -1)


@lru_cache(maxsize=64)
def _unit(channels: int, parts: int, dtype: torch.dtype) -> Tensor:
    """Return for each of several parts of R = parts C features the matrix [parts, C, R] that takes it."""
    return torch.eye(channels * parts, dtype=dtype).view(parts, channels, -1)


@lru_cache(maxsize=64)
def _summed(channels: int, copies: int, dtype: torch.dtype) -> Tensor:
    """Return the matrix [copies C, C] that sums the copies."""
    return torch.eye(channels, dtype=dtype).repeat(copies, 1)


def _nine(x: Tensor) -> Tensor:
    return x.new_ones(x.shape[1], 1, 3, 3)


@lru_cache(maxsize=64)
def _shares(height: int, width: int, stride: int, dtype: torch.dtype) -> Tensor:
    rows, columns = (
        functional.avg_pool1d(torch.ones(1, 1, side, dtype=dtype), 3, stride, 1).flatten() for side in (height, width)
    )
    return (1.0 / (9.0 * rows[:, None] * columns[None, :])).view(1, 1, len(rows), len(columns))
