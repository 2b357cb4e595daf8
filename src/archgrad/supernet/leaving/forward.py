"""The forward of everything that leaves a node: the sums, the moments, and what is kept for the backward."""

from __future__ import annotations

import torch
from torch import Tensor

from archgrad.supernet.fast import folded
from archgrad.supernet.fast.dropped import add_dropped, add_dropped_shared
from archgrad.supernet.fast.folded import as_matrix, column_means, place
from archgrad.supernet.fast.normalised import normalise
from archgrad.supernet.leaving.matrices import means_behind, mixed, negative_means, spread
from archgrad.supernet.leaving.node import NodePass
from archgrad.supernet.leaving.spec import Moments

__all__ = ["ForwardPass"]


class ForwardPass(NodePass):
    """The pass that computes the sums."""

    def forward(self, moments: Moments) -> Tensor:
        """Return the sums [pixels, targets C]; note what is to be kept."""
        spec, C = self.spec, self.channels
        out: Tensor | None = None
        if spec.identity:
            out = as_matrix(self.x).mm(spread(self.weights[0], C))
        moments.shared = []
        for each, rows in zip(spec.shared, self.shared_rows, strict=True):
            features, _ = self.shared_features(each)
            mean = column_means(features)
            features -= mean
            covariance = features.t().mm(features) / self.pixels
            point = self.shared_pointwise(each)
            normalised, variance = normalise(point, covariance, spec.eps)
            if self.masks is None:
                matrix = mixed(normalised.scaled, self.weights[rows])
                out = features.mm(matrix) if out is None else out.addmm_(features, matrix)
            else:
                out = self.x.new_zeros(self.pixels, spec.targets * C) if out is None else out
                add_dropped_shared(out, features, normalised.scaled, self.weights[rows], self.masks[:, rows])
            behind = mean.view(-1, C) if each.pools else point.matmul(mean.view(-1, 1)).squeeze(-1)
            moments.shared.append((behind, variance))
            self.kept += [mean, *normalised]
        if not spec.kinds:
            assert out is not None
            return out
        shifts = self.x.new_empty(self.all_slices * C)
        features_of: list[Tensor] = [self.x] * len(spec.kinds)
        middles = self.forward_inner(moments, shifts)
        covariance = self.x.new_empty(self.all_slices, C, C)
        for index, (kind, at, where) in enumerate(zip(spec.kinds, self.kernels, self.places, strict=True)):
            shift = shifts[where.start * C : where.stop * C]
            middle = middles[index]
            if middle is None:
                negative_means(self.first_seen(index), self.tensors[at], shift)
                features_of[index] = self.convolved(kind, at, shift)
            else:
                negative_means(self.second_seen(kind, middle), self.tensors[at + 2], shift)
                features_of[index] = self.convolved_again(at, middle, shift)
            folded.gram_matrices(features_of[index], covariance[where])
        point = self.pointwise(first=False)
        normalised, variance = normalise(point, covariance.div_(self.pixels), spec.eps)
        matrix = place(normalised.scaled, self.kind_weights)
        if out is None:
            out = self.x.new_zeros(self.pixels, spec.targets * C)
        for index, (kind, where) in enumerate(zip(spec.kinds, self.places, strict=True)):
            if self.kind_masks is None:
                folded.add_product(out, features_of[index], matrix[where], kind.spans)
            else:
                add_dropped(out, features_of[index], matrix[where], kind.spans, self.kind_masks[:, where])
        moments.last = means_behind(point, shifts), variance
        self.kept += [shifts, *normalised]
        return out

    def forward_inner(self, moments: Moments, shifts: Tensor) -> list[Tensor | None]:
        """Return the inner features of separable kinds, None for the others."""
        C = self.channels
        found: list[Tensor | None] = [None] * len(self.spec.kinds)
        if not self.inner_slices:
            return found
        covariance = self.x.new_empty(self.inner_slices, C, C)
        inner_shifts = self.x.new_empty(self.inner_slices * C)
        features_of = []
        for index, (kind, at, where) in enumerate(zip(self.spec.kinds, self.kernels, self.inner, strict=True)):
            if where is not None:
                shift = inner_shifts[where.start * C : where.stop * C]
                negative_means(self.first_seen(index), self.tensors[at], shift)
                features_of.append(self.convolved(kind, at, shift))
                folded.gram_matrices(features_of[-1], covariance[where])
        point = self.pointwise(first=True)
        normalised, variance = normalise(point, covariance.div_(self.pixels), self.spec.eps)
        matrix = place(normalised.scaled, self.own(inner=True))
        for index, (kind, where) in enumerate(zip(self.spec.kinds, self.inner, strict=True)):
            if where is not None:
                features = features_of.pop(0)
                middle = torch.empty_like(features)
                spans = folded.own_spans(kind.slices, C)
                folded.add_product(middle, features, matrix[where], spans, fresh=True)
                found[index] = self.out_image(middle.clamp_min_(0))
        moments.inner = means_behind(point, inner_shifts), variance
        self.kept += [inner_shifts, *normalised, *(middle for middle in found if middle is not None)]
        return found
