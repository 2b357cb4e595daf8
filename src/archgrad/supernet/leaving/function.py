"""Everything that leaves one node as one autograd function: forward and backward of the fast evaluation.

What the terms of a node have in common is computed once: ReLU, pools, the gradient's mean. Depthwise kinds of
operations (``dil_conv``, ``sep_conv``) run with all their slices side by side, and the small matrices of
:mod:`archgrad.supernet.fast.folded` are computed for all kinds at once. Between forward and backward only the node
itself and the inner features of separable convolutions are kept; the rest, pools too, is cheap to compute again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archgrad.supernet.again import differentiable
from archgrad.supernet.leaving.backward import BackwardPass
from archgrad.supernet.leaving.forward import ForwardPass
from archgrad.supernet.leaving.plain import leaving
from archgrad.supernet.leaving.spec import Moments, Spec

__all__ = ["Leaving"]


class Leaving(torch.autograd.Function):
    """(spec, moments, masks, x [N, C, H, W], weights [rows, targets], *tensors) -> sums [N, targets C, H', W'].

    The masks [N, rows, targets] are those of dropped paths, or None.
    """

    @staticmethod
    def forward(
        ctx: Any, spec: Spec, moments: Moments, masks: Tensor | None, x: Tensor, weights: Tensor, *tensors: Tensor
    ) -> Tensor:
        """Return the sums and fill the moments."""
        node = ForwardPass(spec, x, weights, tensors, masks)
        out = node.forward(moments)
        ctx.spec, ctx.counts = spec, (len(tensors), len(node.kept))
        ctx.save_for_backward(masks, x, weights, *tensors, *node.kept)
        return node.out_image(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; under ``create_graph`` such that they can be differentiated again."""
        masks, x, weights, *rest = ctx.saved_tensors
        tensors, kept = rest[: ctx.counts[0]], rest[ctx.counts[0] :]
        needs = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():
            out = leaving(ctx.spec, masks, x, weights, tensors)
            return None, None, None, *differentiable(out, (x, weights, *tensors), gradients[0], needs)
        node = BackwardPass(ctx.spec, x, weights, tensors, masks)
        node.kept = kept
        return None, None, None, *node.backward(gradients[0], needs)
