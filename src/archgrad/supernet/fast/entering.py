"""What brings an input to a cell's channels: ReLU, pointwise convolution and batch norm as one function, little kept.

With X the input as a matrix [pixels, inputs], P the convolution and y = (z - mean z) s, z = max(X, 0) P' and
s = (var z + eps)^(-1/2), the gradient g of y comes back as::

    dz = s (g - mean g - y mean(g y)),    dP = dz' max(X, 0),    dX = dz P where X > 0

so X, which every reader of a cell's output shares, and y, which the cell keeps anyway, are all that a backward needs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.network.modules import ReluConvolutionNorm
from archgrad.supernet.again import differentiable
from archgrad.supernet.fast.folded import as_image, as_matrix, column_means

__all__ = ["FastEntrance", "use_fast_entrances"]


class _Entering(torch.autograd.Function):
    """(eps, x [N, inputs, H, W], weight [C, inputs, 1, 1]) -> y [N, C, H, W], mean and variance [C] of z."""

    @staticmethod
    def forward(ctx: Any, eps: float, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the normalised features and the batch's moments."""
        out = functional.relu(as_matrix(x)).mm(weight.flatten(1).t())
        mean = column_means(out)
        out -= mean
        variance = _column_products(out, out)
        inverse = (variance + eps).rsqrt_()
        image = as_image(out.mul_(inverse), x.shape[0], *x.shape[2:])
        ctx.eps = eps
        ctx.save_for_backward(x, weight, image, inverse)
        ctx.mark_non_differentiable(moments := mean.squeeze(0), variance)
        return image, moments, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; under ``create_graph`` such that they can be differentiated again."""
        x, weight, image, inverse = ctx.saved_tensors
        _, to_x, to_weight = ctx.needs_input_grad
        if torch.is_grad_enabled():
            plain = functional.batch_norm(
                functional.conv2d(functional.relu(x), weight), None, None, training=True, eps=ctx.eps
            )
            return None, *differentiable(plain, (x, weight), gradients[0], (to_x, to_weight))
        gradient, out = as_matrix(gradients[0].contiguous(memory_format=torch.channels_last)), as_matrix(image)
        back = torch.addcmul(gradient - column_means(gradient), out, _column_products(gradient, out), value=-1.0)
        back *= inverse
        matrix = as_matrix(x)
        found_x = found_weight = None
        if to_weight:
            found_weight = back.t().mm(functional.relu(matrix)).view_as(weight)
        if to_x:
            whole = torch.ops.aten.threshold_backward(back.mm(weight.flatten(1)), matrix, 0)
            found_x = as_image(whole, x.shape[0], *x.shape[2:])
        return None, found_x, found_weight


def _column_products(a: Tensor, b: Tensor) -> Tensor:
    """Return mean(a b) of every column, [C]; as a product, which is quicker than the library's reduction."""
    return a.t().mm(b).diagonal().div(a.shape[0])


class FastEntrance(ReluConvolutionNorm):
    """The same layers as one function in training, on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [N, C, H, W] of x [N, inputs, H, W]."""
        norm = self[2]
        assert isinstance(norm, nn.BatchNorm2d)
        pixels = x.numel() // x.shape[1]
        plain = x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or not norm.training or pixels < 2
        if plain:
            found: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return found
        x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor
        out, mean, variance = _Entering.apply(norm.eps, x, self[1].weight)  # type: ignore[no-untyped-call]
        _track(norm, mean, variance * (pixels / (pixels - 1)))
        return out


@torch.no_grad()
def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move running statistics as the batch norm itself does."""
    if not norm.track_running_stats or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)


def use_fast_entrances(module: nn.Module) -> None:
    """Give every entrance without scale and offset the leaner evaluation; names and weights stay."""
    for child in module.modules():
        if type(child) is ReluConvolutionNorm and not child[2].affine:
            child.__class__ = FastEntrance
