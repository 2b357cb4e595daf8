"""The sums of :mod:`archgrad.supernet.leaving.function` in plain differentiable operations, for second derivatives.

A gradient under ``create_graph`` runs these formulas under autograd, at the plain price in time and memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.supernet.fast.depthwise import depthwise
from archgrad.supernet.leaving.spec import Spec

__all__ = ["leaving"]


def leaving(spec: Spec, masks: Tensor | None, x: Tensor, weights: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """Return the sums [N, targets C, H', W'] of everything that leaves a node; arguments as in ``Leaving``."""
    left = list(tensors)
    features: list[Tensor] = []  # in the order of the weights' rows

    def normalised(z: Tensor) -> Tensor:
        return functional.batch_norm(z, None, None, training=True, eps=spec.eps)

    def pointwise(z: Tensor, slices: int) -> Tensor:
        point = left.pop(0)
        return normalised(functional.conv2d(z, point.flatten(0, 1), groups=slices))

    if spec.identity:
        features.append(x)
    for each in spec.shared:
        for pool in each.pools:
            pooled = (
                functional.max_pool2d(x, 3, spec.stride, 1)
                if pool == "max"
                else functional.avg_pool2d(x, 3, spec.stride, 1, count_include_pad=False)
            )
            features.append(normalised(pooled))
        if not each.pools:
            height, width = x.shape[2:]
            positive = functional.pad(functional.relu(x), (0, width % 2, 0, height % 2))
            both = torch.cat([positive[:, :, ::2, ::2], positive[:, :, 1::2, 1::2]], dim=1)
            features += [normalised(functional.conv2d(both, point[:, :, None, None])) for point in left.pop(0)]
    for kind in spec.kinds:
        z = functional.relu(x).repeat(1, kind.slices, 1, 1)
        z = pointwise(depthwise(z, left.pop(0).flatten(0, 1), None, spec.stride, kind.dilation), kind.slices)
        if kind.separable:
            z = pointwise(depthwise(functional.relu(z), left.pop(0).flatten(0, 1)), kind.slices)
        features += z.chunk(kind.slices, dim=1)
    scales = weights.expand(len(x), -1, -1)
    if masks is not None:
        kept = masks.clone()
        if spec.identity:
            kept[:, 0] = 1
        scales = weights * kept
    sums = [
        sum(scales[:, row, target, None, None, None] * y for row, y in enumerate(features))
        for target in range(spec.targets)
    ]
    return torch.cat(sums, dim=1)  # type: ignore[arg-type]
