"""What can leave a node in the fast evaluation: features of all slices side by side, and how a gradient returns.

A term is one kind of operation on one source with all its slices that run. Its features are a matrix, centred over the
pixels, which :mod:`archgrad.supernet.folded` turns into the terms of every target; a term's own part is what comes
before that last pointwise convolution. Forward functions are plain differentiable tensor operations. The backward ones
recompute what is cheaper to compute than to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from archgrad.supernet.depthwise import depthwise, depthwise_input_gradient, depthwise_weight_gradient
from archgrad.supernet.folded import as_image, as_matrix, column_means, covariances, fold, pull_back

__all__ = ["Depthwise", "Halved", "Moments", "Node", "Pooled", "Separable", "Term"]

Moments = list[tuple[Tensor, Tensor]]
"""Means and variances [slices, C] of a term's batch norms, in the order of its layers."""


class Node:
    """One source in one pass: its state, and what several terms need of it, computed once.

    Args:
        x: the state, [N, C, H, W], channels last in memory.
        stride: of the operations that leave it.
    """

    def __init__(self, x: Tensor, stride: int) -> None:
        self.x, self.stride = x, stride
        self.count, self.channels, self.height, self.width = x.shape
        self.out_sides = -(-self.height // stride), -(-self.width // stride)
        self._relu: dict[int, Tensor] = {}
        self._mean_relu: Tensor | None = None
        self.to_x: Tensor | None = None  # gradients, as matrices
        self.to_relu: Tensor | None = None

    def relu(self, copies: int = 1) -> Tensor:
        """Return max(x, 0), its channels repeated: [N, copies C, H, W]."""
        if copies not in self._relu:
            if copies == 1:
                self._relu[1] = functional.relu(self.x)
            else:
                self._relu[copies] = self.image(torch.cat([as_matrix(self.relu())] * copies, dim=1))
        return self._relu[copies]

    def mean_relu(self, copies: int) -> Tensor:
        """Return the mean of :meth:`relu` over the examples, [1, copies C, H, W]."""
        if self._mean_relu is None:
            self._mean_relu = mean_image(self.relu())
        return self._mean_relu.repeat(1, copies, 1, 1)

    def image(self, matrix: Tensor) -> Tensor:
        """Return a matrix over the node's pixels as an image."""
        return as_image(matrix, self.count, self.height, self.width)

    def out_image(self, matrix: Tensor) -> Tensor:
        """Return a matrix over the pixels behind the stride as an image."""
        return as_image(matrix, self.count, *self.out_sides)

    def add_to_x(self, gradient: Tensor) -> None:
        """Add a gradient with respect to the state, as a matrix that may be changed afterwards."""
        self.to_x = gradient if self.to_x is None else self.to_x.add_(gradient)

    def add_to_relu(self, gradient: Tensor) -> None:
        """Add a gradient [N, copies C, H, W] with respect to :meth:`relu`."""
        matrix, copies = as_matrix(gradient), gradient.shape[1] // self.channels
        if copies == 1:
            self.to_relu = matrix if self.to_relu is None else self.to_relu.add_(matrix)
            return
        total = torch.eye(self.channels, dtype=matrix.dtype).repeat(copies, 1)
        self.to_relu = matrix.mm(total) if self.to_relu is None else self.to_relu.addmm_(matrix, total)

    def gradient(self) -> Tensor:
        """Return the sum of everything that came back, [N, C, H, W]."""
        if self.to_relu is not None:
            self.add_to_x(torch.ops.aten.threshold_backward(self.to_relu, as_matrix(self.x), 0))
        if self.to_x is None:
            return torch.zeros_like(self.x)
        return self.image(self.to_x)


class Term(Protocol):
    """One kind of operation with all its slices that run."""

    @property
    def eps(self) -> float:
        """Added to the variances of its batch norms."""
        ...

    @property
    def groups(self) -> int:
        """How many features [pixels, R] there are side by side: one per slice, or 1 if all slices share them."""
        ...

    def pointwise(self, node: Node, tensors: Sequence[Tensor]) -> Tensor:
        """Return the last pointwise convolutions [slices, C, R]."""
        ...

    def forward(self, node: Node, tensors: Sequence[Tensor], moments: Moments) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return features [pixels, groups R] centred, their means [groups R], and what to keep for the backward."""
        ...

    def again(self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor]) -> Tensor:
        """Return the same features in the backward."""
        ...

    def backward(
        self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor], gradient: Tensor, needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """Return the tensors' gradients before the last pointwise convolution, and add the node's own.

        Args:
            node: the source, where gradients are added unless its last entry of ``needs`` says no.
            tensors: the term's weights.
            kept: what the forward kept.
            gradient: with respect to the features, with mean 0 in every column; may be changed.
            needs: which tensors, and last of all the node, want a gradient.
        """
        ...


@dataclass(frozen=True)
class Pooled:
    """``max_pool_3x3`` and ``avg_pool_3x3``: without weights, so all slices share one feature.

    Args:
        kind: "max" or "average".
        eps: of the batch norm.
    """

    kind: str
    eps: float
    groups: int = 1

    def pointwise(self, node: Node, tensors: Sequence[Tensor]) -> Tensor:
        """Return the identity."""
        return torch.eye(node.channels, dtype=node.x.dtype).unsqueeze(0)

    def forward(self, node: Node, tensors: Sequence[Tensor], moments: Moments) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Keep what a maximum cannot recompute quickly: itself, and where it was found."""
        kept = []
        if self.kind == "max":
            pooled, found = functional.max_pool2d(node.x, 3, node.stride, 1, return_indices=True)
            kept = [found.to(torch.int32)]
        else:
            pooled = depthwise(node.x, _nine(node.x), None, node.stride) * _shares(node)
        features = as_matrix(pooled)
        mean = column_means(features)
        features = features - mean
        return features, mean, [features, *kept]

    def again(self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor]) -> Tensor:
        """Return the kept features."""
        return kept[0]

    def backward(
        self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor], gradient: Tensor, needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """Send the gradient to the maxima, or evenly."""
        image = node.out_image(gradient)
        if self.kind == "max":
            back = torch.ops.aten.max_pool2d_with_indices_backward(
                image, node.x, [3, 3], [node.stride] * 2, [1, 1], [1, 1], False, kept[1].to(torch.int64)
            )
        else:
            back = depthwise_input_gradient(image * _shares(node), _nine(node.x), node.x.shape[2:], node.stride, 1)
        node.add_to_x(as_matrix(back))
        return []


@dataclass(frozen=True)
class Halved:
    """``skip_connect`` with stride 2: two pixels of every square, so all slices share one feature of 2 C channels.

    Its one tensor is the pointwise convolution [slices, C, 2 C], half of which is zero.
    """

    eps: float
    groups: int = 1

    def pointwise(self, node: Node, tensors: Sequence[Tensor]) -> Tensor:
        """Return its tensor."""
        return tensors[0]

    def forward(self, node: Node, tensors: Sequence[Tensor], moments: Moments) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Keep the means alone."""
        features = self._gather(node)
        mean = column_means(features)
        return features - mean, mean, [mean]

    def again(self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor]) -> Tensor:
        """Gather the pixels once more."""
        return self._gather(node) - kept[0]

    @staticmethod
    def _gather(node: Node) -> Tensor:
        image = node.relu()
        padded = functional.pad(image, (0, node.width % 2, 0, node.height % 2))
        return torch.cat([as_matrix(image[:, :, ::2, ::2]), as_matrix(padded[:, :, 1::2, 1::2])], dim=1)

    def backward(
        self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor], gradient: Tensor, needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """Put the gradient back to the pixels that were read."""
        even, odd = node.out_image(gradient).split(node.channels, dim=1)
        back = torch.zeros_like(node.x)
        back[:, :, ::2, ::2] = even
        back[:, :, 1::2, 1::2] = odd[:, :, : node.height // 2, : node.width // 2]
        node.add_to_relu(back)
        return [None]


@dataclass(frozen=True)
class Depthwise:
    """``dil_conv``: ReLU and a depthwise convolution; its tensors are that kernel and the pointwise convolution.

    Args:
        slices: how many run.
        dilation: of the kernel.
        eps: of the batch norm.
    """

    slices: int
    dilation: int
    eps: float

    @property
    def groups(self) -> int:
        """Return one per slice."""
        return self.slices

    def pointwise(self, node: Node, tensors: Sequence[Tensor]) -> Tensor:
        """Return the second tensor [slices, C, C]."""
        return tensors[1]

    def forward(self, node: Node, tensors: Sequence[Tensor], moments: Moments) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Keep the means alone."""
        mean = self._means(node, tensors[0])
        return self._convolve(node, tensors[0], mean), mean, [mean]

    def again(self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor]) -> Tensor:
        """Convolve once more."""
        return self._convolve(node, tensors[0], kept[0])

    def _means(self, node: Node, kernel: Tensor) -> Tensor:
        return depthwise_means(node.mean_relu(self.slices), kernel, node.stride, self.dilation)

    def _convolve(self, node: Node, kernel: Tensor, mean: Tensor) -> Tensor:
        return as_matrix(depthwise(node.relu(self.slices), kernel, -mean, node.stride, self.dilation))

    def backward(
        self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor], gradient: Tensor, needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """Return the kernel's gradient."""
        image, kernel = node.out_image(gradient), tensors[0]
        to_kernel = None
        if needs[0]:
            to_kernel = depthwise_weight_gradient(
                node.relu(self.slices), image, kernel.shape[-1], node.stride, self.dilation
            )
        if needs[-1]:
            node.add_to_relu(depthwise_input_gradient(image, kernel, node.x.shape[2:], node.stride, self.dilation))
        return [to_kernel, None]


@dataclass(frozen=True)
class Separable:
    """``sep_conv``: its first half is a :class:`Depthwise` folded into its own slice, then ReLU and a second kernel.

    Its tensors: kernel and pointwise convolution of the first half, then those of the second.
    """

    slices: int
    eps: float

    @property
    def groups(self) -> int:
        """Return one per slice."""
        return self.slices

    @property
    def first(self) -> Depthwise:
        """The first half up to its pointwise convolution."""
        return Depthwise(self.slices, 1, self.eps)

    def pointwise(self, node: Node, tensors: Sequence[Tensor]) -> Tensor:
        """Return the fourth tensor [slices, C, C]."""
        return tensors[3]

    def forward(self, node: Node, tensors: Sequence[Tensor], moments: Moments) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Keep the second half's input and two small statistics."""
        features, mean, _ = self.first.forward(node, tensors[:2], moments)
        covariance = covariances(features, self.slices)
        matrix, variance = fold(tensors[1], _apart(tensors[1]), covariance, self.eps)
        moments.append((means_of(tensors[1], mean), variance))
        middle = node.out_image(functional.relu(features.mm(matrix), inplace=not torch.is_grad_enabled()))
        mean_2 = depthwise_means(mean_image(middle), tensors[2], 1, 1)
        kept = [middle, mean, covariance, mean_2]
        return as_matrix(depthwise(middle, tensors[2], -mean_2)), mean_2, kept

    def again(self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor]) -> Tensor:
        """Convolve the second half once more."""
        return as_matrix(depthwise(kept[0], tensors[2], -kept[3]))

    def backward(
        self, node: Node, tensors: Sequence[Tensor], kept: Sequence[Tensor], gradient: Tensor, needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """Return the gradients of the second kernel and of the first half."""
        middle, mean, covariance, _ = kept
        image, kernel = node.out_image(gradient), tensors[2]
        found: list[Tensor | None] = [None] * 4
        if needs[2]:
            found[2] = depthwise_weight_gradient(middle, image, kernel.shape[-1], 1, 1)
        back = as_matrix(depthwise_input_gradient(image, kernel, middle.shape[2:], 1, 1))
        back = torch.ops.aten.threshold_backward(back, as_matrix(middle), 0)
        back -= column_means(back)
        features = self.first.again(node, tensors[:2], [mean])
        wanted = needs[0] or needs[-1], needs[1], False
        inner, found[1], _ = pull_back(features, back, tensors[1], _apart(tensors[1]), covariance, self.eps, wanted)
        if inner is not None:
            found[0], _ = self.first.backward(node, tensors[:2], [mean], inner, (needs[0], False, needs[-1]))
        return found


def mean_image(x: Tensor) -> Tensor:
    """Return the mean [1, C, H, W] of an image [N, C, H, W] over its examples."""
    return as_image(column_means(x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)), 1, *x.shape[2:])


def depthwise_means(mean: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """Return the mean [C] over examples and pixels of a depthwise convolution, from the mean image of its input."""
    return depthwise(mean, kernel, None, stride, dilation).mean(dim=(0, 2, 3))


def means_of(pointwise: Tensor, mean: Tensor) -> Tensor:
    """Return the means [slices, C] behind pointwise convolutions [slices, C, R] of features with means [groups R]."""
    return pointwise.matmul(mean.view(-1, pointwise.shape[2], 1)).squeeze(-1)


def _apart(pointwise: Tensor) -> Tensor:
    """Return the weights with which every slice flows into a sum of its own."""
    return torch.eye(pointwise.shape[0], dtype=pointwise.dtype)


def _nine(x: Tensor) -> Tensor:
    return x.new_ones(x.shape[1], 1, 3, 3)


def _shares(node: Node) -> Tensor:
    """Return one over the number of pixels that a 3x3 window holds at every place, [1, 1, H', W']: fewer at the edge."""
    rows, columns = (
        functional.avg_pool1d(node.x.new_ones(1, 1, side), 3, node.stride, 1).flatten()
        for side in (node.height, node.width)
    )
    return (1.0 / (9.0 * rows[:, None] * columns[None, :])).view(1, 1, *node.out_sides)
