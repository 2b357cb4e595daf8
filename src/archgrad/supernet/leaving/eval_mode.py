"""Everything that leaves one node in eval mode: batch norms are constants and fold into matrices and an offset.

With the running mean m and variance v, BN(P u) = diag(v + eps)^(-1/2) (P u - m): a product with a scaled matrix, and an
offset that is the same for all pixels. The offsets of all candidates are summed before a single pixel is touched.
Nothing here is differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.supernet.fast import folded
from archgrad.supernet.fast.depthwise import depthwise
from archgrad.supernet.fast.folded import as_matrix, place
from archgrad.supernet.leaving.matrices import mixed, nine, spread
from archgrad.supernet.leaving.node import NodePass
from archgrad.supernet.leaving.spec import Kind, Shared, Spec

__all__ = ["Constants", "EvalPass"]


class Constants:
    """What a stack of batch norms does in eval mode: x * scale + offset, [slices, C] each.

    Args:
        norm: with running statistics [all slices, C].
        slices: which of them.
    """

    def __init__(self, norm: nn.BatchNorm2d, slices: Sequence[int]) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        every = len(slices) == norm.running_mean.shape[0]
        mean, variance = (x if every else x[list(slices)] for x in (norm.running_mean, norm.running_var))
        self.scale = (variance + norm.eps).rsqrt_()
        self.offset = -mean * self.scale


class EvalPass(NodePass):
    """The pass that computes the sums in eval mode; slices of a pool have statistics, so rows of weights, of their own.

    Args:
        spec: what leaves the node.
        x: its state [N, C, H, W].
        weights: [rows, targets].
        tensors: in the order that :class:`Spec` says.
        constants: of all batch norms, in the order of the tensors, pools first; two of a separable kind.
    """

    def __init__(
        self, spec: Spec, x: Tensor, weights: Tensor, tensors: Sequence[Tensor], constants: Sequence[Constants]
    ) -> None:
        super().__init__(spec, x, weights, tensors)
        self.constants = list(constants)

    def evaluate(self) -> Tensor:
        """Return the sums [N, targets C, H', W']."""
        spec, shared = self.spec, len(self.spec.shared)
        last, inner = list(self.constants[:shared]), []
        left = iter(self.constants[shared:])
        for kind in spec.kinds:
            inner.append(next(left) if kind.separable else None)
            last.append(next(left))
        weights = self.weights[int(spec.identity) :]
        # [targets, C]: the offsets of everything that is added to a target
        offset = weights.t().mm(torch.cat([each.offset for each in last])) if last else self.x.new_zeros(1)
        if spec.identity:
            out = torch.addmm(offset.view(-1), as_matrix(self.x), spread(self.weights[0], self.channels))
        else:
            out = offset.view(1, -1).repeat(self.pixels, 1)
        for each, rows, constants in zip(spec.shared, self.shared_rows, last[:shared], strict=True):
            out.addmm_(*self.shared_term(each, self.weights[rows], constants))
        for index, kind in enumerate(spec.kinds):
            at, scale = self.kernels[index], last[shared + index].scale
            constants_ = inner[index]
            if constants_ is None:
                features = self.convolved(kind, at, None)
            else:
                features = self.convolved_again(at, self.middle(kind, at, constants_), None)
            pointwise = self.tensors[at + (1 if constants_ is None else 3)].flatten(2)
            matrix = place(pointwise * scale.unsqueeze(-1), self.kind_weights[self.places[index]])
            folded.add_product(out, features, matrix, kind.spans)
        return self.out_image(out)

    def shared_term(self, each: Shared, weights: Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
        """Return features [pixels, R] and the matrix [R, targets C] that they are multiplied by."""
        if not each.pools:
            return self.squares(), mixed(self.tensors[0] * constants.scale.unsqueeze(-1), weights)
        if each.pools[0] == "max":
            image = functional.max_pool2d(self.x, 3, self.spec.stride, 1)
        else:
            image = depthwise(self.x, nine(self.channels, self.x.dtype), None, self.spec.stride).mul_(self.shares())
        scales = weights.t().mm(constants.scale)  # [targets, C]
        return as_matrix(image), torch.diag_embed(scales).permute(1, 0, 2).reshape(self.channels, -1)

    def middle(self, kind: Kind, at: int, constants: Constants) -> Tensor:
        """Return a separable kind's inner features, [N, slices C, H', W']."""
        features = self.convolved(kind, at, None)
        scaled = self.tensors[at + 1].flatten(2) * constants.scale.unsqueeze(-1)
        own = folded.positions((kind.slices,), self.channels, self.x.dtype)
        middle = torch.empty_like(features)
        spans = folded.own_spans(kind.slices, self.channels)
        folded.add_product(middle, features, place(scaled, own), spans, fresh=True)
        return self.out_image(middle.add_(constants.offset.view(-1)).clamp_min_(0))
