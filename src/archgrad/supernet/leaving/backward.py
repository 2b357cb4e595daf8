"""The backward of everything that leaves a node: gradients of state, weights and tensors, features computed again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archgrad.supernet.fast import folded
from archgrad.supernet.fast.depthwise import depthwise_input_gradient, depthwise_weight_gradient
from archgrad.supernet.fast.dropped import dropped_back, dropped_cross, dropped_shared_back
from archgrad.supernet.fast.folded import as_image, as_matrix, column_means, place
from archgrad.supernet.fast.normalised import Normalised
from archgrad.supernet.leaving.matrices import mixed_back, nine, spread, summed_copies
from archgrad.supernet.leaving.node import NodePass
from archgrad.supernet.leaving.spec import Kind, Shared

__all__ = ["BackwardPass"]


class BackwardPass(NodePass):
    """The pass that computes the gradients."""

    to_x: Tensor | None = None  # gradients, as matrices
    to_relu: Tensor | None = None

    def backward(self, gradient: Tensor, needs: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradients of x, weights and tensors, where needed."""
        spec, C = self.spec, self.channels
        to_out = as_matrix(gradient.contiguous(memory_format=torch.channels_last))
        # batch norm takes no notice of a constant: with a centred gradient the features' means need no care; masks do
        centred = to_out - column_means(to_out) if self.masks is None else to_out
        to_tensors: list[Tensor | None] = [None] * len(self.tensors)
        to_weights = []
        if spec.identity:
            inner = as_matrix(self.x).t().mm(to_out).view(C, spec.targets, C)
            to_weights.append(inner.diagonal(dim1=0, dim2=2).sum(-1).unsqueeze(0))
            if needs[0]:
                self.add_to_x(to_out.mm(spread(self.weights[0], C).t()))
        kept = iter(self.kept)
        for each, rows in zip(spec.shared, self.shared_rows, strict=True):
            mean, normalised = next(kept), Normalised(next(kept), next(kept), next(kept))
            features, found = self.shared_features(each)
            features -= mean
            weights = self.weights[rows]
            back, to_scaled, to_rows = (
                mixed_back(features, centred, normalised.scaled, weights)
                if self.masks is None
                else dropped_shared_back(features, to_out, normalised.scaled, weights, self.masks[:, rows])
            )
            to_weights.append(to_rows)
            to_point, bend = normalised.back(to_scaled, self.pixels, not each.pools and needs[2])
            if not each.pools:
                to_tensors[0] = to_point
            if needs[0]:
                self.shared_back(each, back.addmm_(features, bend.sum(0)), found)
        if spec.kinds:
            separable = sum(kind.separable for kind in spec.kinds)
            inner_kept = [next(kept) for _ in range(4 + separable)] if separable else []
            to_weights.append(self.kinds_back(centred, inner_kept, list(kept), to_tensors, needs))
        return [self.gradient() if needs[0] else None, torch.cat(to_weights) if needs[1] else None, *to_tensors]

    def kinds_back(
        self,
        gradient: Tensor,
        inner: Sequence[Tensor],
        last: Sequence[Tensor],
        to_tensors: list[Tensor | None],
        needs: Sequence[bool],
    ) -> Tensor:
        """Write the gradients of the kinds' tensors and return that of their weights."""
        spec, C = self.spec, self.channels
        shifts, normalised = last[0], Normalised(*last[1:])
        matrix = place(normalised.scaled, self.kind_weights)
        to_matrix = torch.empty_like(matrix)
        middles = iter(inner[4:])
        features_of, middle_of = [], []
        for kind, at, where in zip(spec.kinds, self.kernels, self.places, strict=True):
            shift = shifts[where.start * C : where.stop * C]
            middle = next(middles) if kind.separable else None
            middle_of.append(middle)
            features_of.append(
                self.convolved(kind, at, shift) if middle is None else self.convolved_again(at, middle, shift)
            )
            self.cross(features_of[-1], gradient, to_matrix[where], kind, where)
        to_weights = (to_matrix * normalised.scaled.mT.unsqueeze(2)).sum((1, 3))
        to_scaled = (to_matrix * self.kind_weights[:, None, :, None]).sum(2).mT
        lasts = [at + (3 if kind.separable else 1) for kind, at in zip(spec.kinds, self.kernels, strict=True)]
        to_point, bend = normalised.back(to_scaled, self.pixels, any(needs[2 + last] for last in lasts))
        bends = folded.place_alone(bend, self.own(inner=False))
        first_gradients: list[tuple[Kind, int, slice, Tensor]] = []
        for index, (kind, at, where) in enumerate(zip(spec.kinds, self.kernels, self.places, strict=True)):
            end = lasts[index]
            if to_point is not None and needs[2 + end]:
                to_tensors[end] = to_point[where].view_as(self.tensors[end])
            if not (needs[0] or any(needs[2 + at : 2 + end])):
                continue
            back = self.product_back(gradient, matrix, kind, where)
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
            self.inner_back(first_gradients, inner[0], Normalised(*inner[1:4]), to_tensors, needs)
        return to_weights

    def cross(self, features: Tensor, gradient: Tensor, out: Tensor, kind: Kind, where: slice) -> None:
        """Write the gradient of a kind's part of the matrix."""
        if self.kind_masks is None:
            folded.cross(features, gradient, out, kind.spans)
        else:
            dropped_cross(features, gradient, out, kind.spans, self.kind_masks[:, where])

    def product_back(self, gradient: Tensor, matrix: Tensor, kind: Kind, where: slice) -> Tensor:
        """Return the gradient of a kind's features at fixed statistics, without its mean."""
        if self.kind_masks is None:
            return folded.product_back(gradient, matrix[where], kind.spans)
        return dropped_back(gradient, matrix[where], kind.spans, self.kind_masks[:, where])

    def inner_back(
        self,
        gradients: Sequence[tuple[Kind, int, slice, Tensor]],
        shifts: Tensor,
        normalised: Normalised,
        to_tensors: list[Tensor | None],
        needs: Sequence[bool],
    ) -> None:
        """Write the gradients of the first halves of separable kinds."""
        C = self.channels
        own = self.own(inner=True)
        matrix = place(normalised.scaled, own)
        crossed = torch.zeros_like(matrix)  # kinds of which nothing is needed are left out
        features_of = []
        for kind, at, where, back in gradients:
            features = self.convolved(kind, at, shifts[where.start * C : where.stop * C])
            features_of.append(features)
            folded.cross(features, back, crossed[where], folded.own_spans(kind.slices, C))
        to_scaled = folded.gathered(crossed, own)
        wanted = any(needs[2 + at + 1] for _, at, _, _ in gradients)
        to_point, bend = normalised.back(to_scaled, self.pixels, wanted)
        bends = folded.place_alone(bend, own)
        for (kind, at, where, back), features in zip(gradients, features_of, strict=True):
            if to_point is not None and needs[2 + at + 1]:
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
                    found,
                )
            else:
                part = part * self.shares()
                back = depthwise_input_gradient(
                    part, nine(self.channels, self.x.dtype), self.x.shape[2:], self.spec.stride, 1
                )
            self.add_to_x(as_matrix(back))

    def add_to_x(self, gradient: Tensor) -> None:
        """Add a gradient with respect to the state, a matrix that may be changed afterwards."""
        self.to_x = gradient if self.to_x is None else self.to_x.add_(gradient)

    def add_to_relu(self, gradient: Tensor, copies: int) -> None:
        """Add a gradient [H W N, copies C] with respect to :meth:`relu`."""
        if copies == 1:
            self.to_relu = gradient if self.to_relu is None else self.to_relu.add_(gradient)
            return
        total = summed_copies(self.channels, copies, self.x.dtype)
        self.to_relu = gradient.mm(total) if self.to_relu is None else self.to_relu.addmm_(gradient, total)

    def gradient(self) -> Tensor:
        """Return the sum of everything that came back, [N, C, H, W]."""
        if self.to_relu is not None:
            self.add_to_x(torch.ops.aten.threshold_backward(self.to_relu, as_matrix(self.x), 0))
        if self.to_x is None:
            return torch.zeros_like(self.x)
        return as_image(self.to_x, self.count, self.height, self.width)
