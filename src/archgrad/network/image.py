"""The derived image network: a stack of fixed cells as plain torch modules, built from plain data.

It imports torch and the operations alone: the standalone export copies this file behind ``modules.py`` and adds the
blueprint as a literal. A blueprint says everything: channels of every layer, the cells' edges, what is normalised.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.network.modules import STEMS, FactorizedReduce, ReluConvolutionNorm, drop_path, make_operation
from archgrad.network.residual import LastNorm, ResidualReduction

__all__ = ["AuxiliaryHead", "Cell", "ImageNetwork", "entrances"]


def entrances(
    sources: list[int], channels: int, halve: list[bool], residual: bool, affine: bool = True
) -> nn.ModuleList:
    """Return what brings each of a cell's inputs to the cell's channels and sides.

    A cell of one input, as in NAS-Bench-201, takes it as it is, or through a residual block that halves the sides.

    Args:
        sources: channels of each input, nearest last.
        channels: channels of every node.
        halve: for each input, whether its sides are still twice as large as the nearest input's.
        residual: whether the single input is halved.
        affine: whether batch norms learn a scale and an offset; those of residual blocks always do.
    """
    if len(sources) == 1:
        return nn.ModuleList([ResidualReduction(sources[0], channels) if residual else nn.Identity()])
    return nn.ModuleList(
        FactorizedReduce(source, channels, affine) if half else ReluConvolutionNorm(source, channels, affine)
        for source, half in zip(sources, halve, strict=True)
    )


class Cell(nn.Module):
    """One cell: brings its inputs to its channels, runs its edges, joins its nodes along the channels.

    Args:
        description: the cell as in architecture.json: inputs, nodes, edges, output, optional weights.
        sources: channels of each input, nearest last.
        channels: channels of every node.
        reduction: edges from input nodes have stride 2.
        halve: for each input, whether its sides are still twice as large as the nearest input's.
        network: the flags ``pool_norm`` and ``node_norm``.
        residual: whether a residual block halves the single input.
    """

    def __init__(
        self,
        description: dict[str, Any],
        sources: list[int],
        channels: int,
        reduction: bool,
        halve: list[bool],
        network: dict[str, bool],
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.inputs: int = description["inputs"]
        self.nodes: int = description["nodes"]
        self.output: list[int] = list(description["output"])
        self.stride = 2 if reduction else 1
        self.preprocess = entrances(sources, channels, halve, residual)
        self.edges: list[tuple[int, int]] = [(edge[0], edge[1]) for edge in description["edges"]]
        self.names: list[str] = [edge[2] for edge in description["edges"]]
        self.weights: list[float] = list(description.get("weights") or [1.0] * len(self.edges))
        pool_norm = bool(network.get("pool_norm", False))
        self.operations = nn.ModuleList(
            make_operation(name, channels, self.stride if source < self.inputs else 1, pool_norm=pool_norm)
            for (source, _), name in zip(self.edges, self.names, strict=True)
        )
        norm = bool(network.get("node_norm", False))
        self.node_norms = nn.ModuleList(
            nn.BatchNorm2d(channels, affine=False) if norm else nn.Identity() for _ in range(self.nodes)
        )

    def forward(self, inputs: list[Tensor], drop: float = 0.0) -> Tensor:
        """Run the cell.

        Args:
            inputs: one tensor [N, C, H, W] per input node, nearest last.
            drop: drop-path probability of the edges that are not plain identities (training only).
        """
        states = [preprocess(x) for preprocess, x in zip(self.preprocess, inputs, strict=True)]
        empty = torch.zeros_like(states[0][:, :, :: self.stride, :: self.stride])
        for node, norm in enumerate(self.node_norms, start=self.inputs):
            total: Tensor | None = None
            for (source, target), operation, weight in zip(self.edges, self.operations, self.weights, strict=True):
                if target != node:
                    continue
                term = operation(states[source])
                if self.training and not isinstance(operation, nn.Identity):
                    term = drop_path(term, drop)
                term = term if weight == 1.0 else weight * term
                total = term if total is None else total + term
            states.append(norm(empty if total is None else total))
        joined = [states[index] for index in self.output]
        return joined[0] if len(joined) == 1 else torch.cat(joined, dim=1)


class AuxiliaryHead(nn.Module):
    """A second classifier two thirds up the stack, used in training only (DARTS' evaluation network).

    Pools to 2x2 (5x5 windows, as published, where the side is 6 to 8), then 128 and 768 channels.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [N, classes] of features [N, channels, H, W]."""
        x, side = functional.relu(x), x.shape[-1]
        published = x.shape[-2] == side and 6 <= side <= 8
        x = functional.avg_pool2d(x, 5, side - 5) if published else functional.adaptive_avg_pool2d(x, 2)
        out: Tensor = self.classifier(self.features(x).flatten(1))
        return out


class ImageNetwork(nn.Module):
    """The network of a found cell: stem, cells, global pooling, linear classifier.

    Images [N, in_channels, H, W] in [0, 1] -> class scores (logits) [N, classes].

    Args:
        blueprint: plain data with ``in_channels``, ``classes``, ``stem`` (its name), ``stem_channels``, ``layers`` (a
            list of ``{"cell", "channels", "reduction", "residual"}``), ``cells``, ``network``, ``auxiliary``, ``mean``,
            ``std``, ``last_norm``.
    """

    def __init__(self, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.drop_path = 0.0
        layers = blueprint["layers"]
        self.stem: Any = STEMS[blueprint["stem"]](
            blueprint["in_channels"], blueprint["stem_channels"], blueprint.get("mean"), blueprint.get("std")
        )
        self.auxiliary_layer = 2 * len(layers) // 3 if blueprint.get("auxiliary") else -1
        self.cells = nn.ModuleList()
        sources, reduced = [blueprint["stem_channels"]] * 2, self.stem.halves
        for layer in layers:
            description = blueprint["cells"][layer["cell"]]
            self.cells.append(
                Cell(
                    description,
                    sources[-description["inputs"] :],
                    layer["channels"],
                    layer["reduction"],
                    [reduced, False],
                    blueprint["network"],
                    bool(layer.get("residual")),
                )
            )
            sources = [sources[1], layer["channels"] * len(description["output"])]
            reduced = layer["reduction"]
            if len(self.cells) - 1 == self.auxiliary_layer:
                self.auxiliary = AuxiliaryHead(sources[1], blueprint["classes"])
        self.last = LastNorm(sources[1]) if blueprint.get("last_norm") else nn.Identity()
        self.classifier = nn.Linear(sources[1], blueprint["classes"])

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [N, classes] of images [N, in_channels, H, W] in [0, 1]."""
        return self.with_auxiliary(x)[0]

    def with_auxiliary(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits and, in training with an auxiliary head, that head's logits."""
        previous, current = self.stem.states(x)
        extra = None
        for index, cell in enumerate(self.cells):
            previous, current = current, cell([previous, current][-len(cell.preprocess) :], self.drop_path)  # type: ignore[arg-type]
            if index == self.auxiliary_layer and self.training:
                extra = self.auxiliary(current)
        return self.classifier(self.last(current).mean(dim=(2, 3))), extra
