"""The supernet once more, the plain way: one ordinary module for every candidate of every edge of every layer.

Nothing here imports the supernet; :func:`copy_of` reads a supernet's state_dict and hands each slice to its module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archgrad.choices import Mixing
from archgrad.supernet import ImageSupernet


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False)


class Halved(nn.Module):
    """Every second pixel from (0, 0) and from (1, 1) on, each through a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.second = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(torch.relu(x), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        out: Tensor = self.norm(torch.cat([self.first(x[:, :, ::2, ::2]), self.second(x[:, :, 1::2, 1::2])], dim=1))
        return out


def depthwise(channels: int, kernel: int, stride: int, dilation: int) -> nn.Conv2d:
    margin = dilation * (kernel - 1) // 2
    return nn.Conv2d(channels, channels, kernel, stride, margin, dilation, channels, bias=False)


def candidate(name: str, channels: int, stride: int) -> nn.Module:
    """Return a candidate as the DARTS paper describes it, in search: batch norms without scale and offset."""
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halved(channels, channels)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(channels))
    if name == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(channels))
    kernel = int(name[-1])

    def half(stride: int, dilation: int) -> list[nn.Module]:
        pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        return [nn.ReLU(), depthwise(channels, kernel, stride, dilation), pointwise, norm(channels)]

    return nn.Sequential(*half(stride, 1), *half(1, 1)) if name.startswith("sep") else nn.Sequential(*half(stride, 2))


class PlainCell(nn.Module):
    """x_j = sum over i < j and k of w[ij, k] o_k(x_i), module by module."""

    def __init__(
        self,
        operations: Sequence[str],
        nodes: int,
        sources: Sequence[int],
        channels: int,
        reduction: bool,
        halve: bool,
        share: bool,
        node_norm: bool,
    ) -> None:
        super().__init__()
        self.operations, self.nodes, self.stride, self.share = operations, nodes, 2 if reduction else 1, share
        first: nn.Module = Halved(sources[0], channels) if halve else self.thin(sources[0], channels)
        self.preprocess = nn.ModuleList([first, self.thin(sources[1], channels)])
        self.candidates = nn.ModuleDict()
        for target in range(2, 2 + nodes):
            for source in range(target):
                for name in operations:
                    if name != "none" and self.key(source, target, name) not in self.candidates:
                        stride = self.stride if source < 2 else 1
                        self.candidates[self.key(source, target, name)] = candidate(name, channels, stride)
        self.node_norms = nn.ModuleList(norm(channels) if node_norm else nn.Identity() for _ in range(nodes))

    @staticmethod
    def thin(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs))

    def key(self, source: int, target: int, name: str) -> str:
        return f"{source} {name}" if self.share else f"{source} {target} {name}"

    def forward(self, inputs: Sequence[Tensor], mixing: Mixing) -> Tensor:
        states = [layer(x) for layer, x in zip(self.preprocess, inputs, strict=True)]
        outputs: dict[str, Tensor] = {}
        row = 0
        for target in range(2, 2 + self.nodes):
            total = torch.zeros_like(states[0][:, :, :: self.stride, :: self.stride])
            for source in range(target):
                for column, name in enumerate(self.operations):
                    if mixing.support[row][column] and name != "none":
                        key = self.key(source, target, name)
                        if key not in outputs:
                            outputs[key] = self.candidates[key](states[source])
                        total = total + mixing.weights[row, column] * outputs[key]
                row += 1
            states.append(self.node_norms[target - 2](total))
        return torch.cat(states[2:], dim=1)


class PlainSupernet(nn.Module):
    """Stem, cells, global pooling, linear classifier; reductions at one and two thirds of the depth."""

    def __init__(
        self,
        operations: Sequence[str],
        *,
        nodes: int,
        cells: int,
        channels: int,
        in_channels: int,
        classes: int,
        share: bool,
        node_norm: bool,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.mean, self.std = torch.tensor(mean).view(1, -1, 1, 1), torch.tensor(std).view(1, -1, 1, 1)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels)
        )
        self.cells = nn.ModuleList()
        before, last, halved = 3 * channels, 3 * channels, False
        for index in range(cells):
            reduction = cells > 2 and index in (cells // 3, 2 * cells // 3)
            channels = 2 * channels if reduction else channels
            sources = (before, last)
            self.cells.append(PlainCell(operations, nodes, sources, channels, reduction, halved, share, node_norm))
            before, last, halved = last, nodes * channels, reduction
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor, mixings: Sequence[Mixing]) -> Tensor:
        before = last = self.stem((x - self.mean) / self.std)
        for cell, mixing in zip(self.cells, mixings, strict=True):
            before, last = last, cell([before, last], mixing)
        out: Tensor = self.classifier(last.mean(dim=(2, 3)))
        return out

    def homes(self, stacked: ImageSupernet) -> Iterator[tuple[nn.Module, nn.Module, int | None]]:
        """Yield (module here, module there, its slice there or None)."""
        yield self.stem[0], stacked.stem.convolution, None
        yield self.stem[1], stacked.stem.norm, None
        yield self.classifier, stacked.classifier, None
        for mine, theirs in zip(self.cells, stacked.cells, strict=True):
            assert isinstance(mine, PlainCell)
            yield mine.preprocess, theirs.preprocess, None  # type: ignore[misc]
            yield mine.node_norms, theirs.node_norms, None  # type: ignore[misc]
            for key, module in mine.candidates.items():
                source, *target, name = key.split()
                # a source's outgoing edges are numbered by target; an input has none to another input
                place = int(target[0]) - max(int(source) + 1, 2) if target else 0
                yield module, theirs.storage[f"{source}_{name}"].operation, place  # type: ignore[index, union-attr]


def entries(module: nn.Module) -> list[Tensor]:
    """Return parameters and buffers in the order of the layers; equal layers give equal lists."""
    return list(module.state_dict(keep_vars=True).values())


def copy_of(stacked: ImageSupernet, mean: Sequence[float], std: Sequence[float]) -> PlainSupernet:
    """Return the plain supernet that holds the same numbers."""
    cell = stacked.space.cells["normal"]
    first = stacked.cells[0]
    plain = PlainSupernet(
        cell.operations,
        nodes=cell.nodes,
        cells=len(stacked.cells),
        channels=stacked.layers[0].channels,
        in_channels=stacked.stem.convolution.in_channels,
        classes=stacked.classifier.out_features,
        share=bool(first.share_features),
        node_norm=isinstance(first.node_norms[0], nn.BatchNorm2d),  # type: ignore[index]
        mean=mean,
        std=std,
    ).to(stacked.classifier.weight.dtype)
    with torch.no_grad():
        for mine, theirs, place in plain.homes(stacked):
            for entry, stack in zip(entries(mine), entries(theirs), strict=True):
                entry.copy_(stack if place is None else stack[place])
    return plain
