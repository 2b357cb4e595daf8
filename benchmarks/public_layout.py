"""The naive evaluation, frozen: every candidate of every edge a chain of its own modules, NCHW in memory.

It is the fixed baseline of the speed figures, written as the public DARTS code lays the supernet out. It shares nothing
with the package, so that no change there moves it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NaiveSupernet"]

NODES = 4
CANDIDATES = 8


def norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm without scale and offset."""
    return nn.BatchNorm2d(channels, affine=False)


def half(channels: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    """Return ReLU, depthwise convolution, pointwise convolution, batch norm."""
    margin = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, margin, dilation, channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    ]


class Halve(nn.Module):
    """Two pointwise convolutions of stride 2, the second one pixel further on."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.second = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return half the sides."""
        x = functional.relu(x)
        out: Tensor = self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))
        return out


class Edge(nn.Module):
    """The weighted sum of all candidates but ``none``, one after the other."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(
            [
                nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(channels)),
                nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(channels)),
                nn.Identity() if stride == 1 else Halve(channels, channels),
                nn.Sequential(*half(channels, 3, stride, 1), *half(channels, 3, 1, 1)),
                nn.Sequential(*half(channels, 5, stride, 1), *half(channels, 5, 1, 1)),
                nn.Sequential(*half(channels, 3, stride, 2)),
                nn.Sequential(*half(channels, 5, stride, 2)),
            ]
        )
        self.stride = stride

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture; the public code multiplies the zeros of ``none`` as well."""
        nothing = x[:, :, :: self.stride, :: self.stride].mul(0.0)
        terms = (w * candidate(x) for w, candidate in zip(weights[1:], self.candidates, strict=True))
        return sum(terms, weights[0] * nothing)


class Cell(nn.Module):
    """Four nodes, fourteen edges."""

    def __init__(self, far: int, near: int, channels: int, reduction: bool, halve: bool) -> None:
        super().__init__()
        thin = [nn.Sequential(nn.ReLU(), nn.Conv2d(c, channels, 1, bias=False), norm(channels)) for c in (far, near)]
        self.before = nn.ModuleList([Halve(far, channels) if halve else thin[0], thin[1]])
        self.edges = nn.ModuleList(
            Edge(channels, 2 if reduction and source < 2 else 1) for node in range(NODES) for source in range(2 + node)
        )

    def forward(self, far: Tensor, near: Tensor, weights: Tensor) -> Tensor:
        """Return the nodes side by side."""
        states = [layer(x) for layer, x in zip(self.before, (far, near), strict=True)]
        at = 0
        for _ in range(NODES):
            edges = range(at, at + len(states))
            states.append(sum(self.edges[e](x, weights[e]) for e, x in zip(edges, states, strict=True)))
            at = edges.stop
        return torch.cat(states[2:], 1)


class NaiveSupernet(nn.Module):
    """Stem, cells with reductions at one and two thirds, pooling, classifier; for images of three channels."""

    def __init__(self, cells: int, channels: int, classes: int = 10) -> None:
        super().__init__()
        far = near = 3 * channels
        self.stem = nn.Sequential(nn.Conv2d(3, near, 3, padding=1, bias=False), nn.BatchNorm2d(near))
        self.cells, self.kinds, halve = nn.ModuleList(), [], False
        for index in range(cells):
            reduction = cells > 2 and index in (cells // 3, 2 * cells // 3)
            channels *= 2 if reduction else 1
            self.cells.append(Cell(far, near, channels, reduction, halve))
            self.kinds.append("reduce" if reduction else "normal")
            far, near, halve = near, NODES * channels, reduction
        self.classifier = nn.Linear(near, classes)

    def forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Return the logits; weights are [edges, candidates] by cell kind."""
        far = near = self.stem(x)
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            far, near = near, cell(far, near, weights[kind])
        out: Tensor = self.classifier(near.mean((2, 3)))
        return out
