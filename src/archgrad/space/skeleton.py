"""How cells make a network, as plain data that both networks read: a stack with reductions, or one cell over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

__all__ = ["Layer", "Skeleton", "Stages", "TimeSteps"]


@dataclass(frozen=True)
class Layer:
    """One layer of the stack.

    Args:
        cell: the cell kind that sits there.
        channels: channels of each of its nodes.
        reduction: whether the cell halves the sides.
        residual: whether a residual block halves the sides before the cell, which then keeps them.
    """

    cell: str
    channels: int
    reduction: bool
    residual: bool = False


@dataclass(frozen=True)
class Skeleton:
    """The stack of DARTS: reduction cells at one and two thirds of the depth, where the channels double.

    Args:
        stem_multiplier: the stem has this many times the first cell's channels (DARTS: 3).
        inputs: how many earlier cells each cell reads (DARTS: 2).
        normal: cell kind of the layers that keep the sides.
        reduce: cell kind of the layers that halve them.
        last_norm: whether batch norm and ReLU stand between the last cell and the pooling.

    Attributes:
        form: "stack": cells one behind another; "time": one cell, step after step.
    """

    form: ClassVar[Literal["stack", "time"]] = "stack"

    stem_multiplier: int = 3
    inputs: int = 2
    normal: str = "normal"
    reduce: str = "reduce"
    last_norm: bool = False

    def stem_channels(self, stem: str, channels: int) -> int:
        """Return the channels of the stem's features; the one for ImageNet has the first cell's (DARTS' public code).

        Args:
            stem: name of the stem, as in :data:`archgrad.network.modules.STEMS`.
            channels: channels of the first cell.
        """
        return channels if stem == "imagenet" else self.stem_multiplier * channels

    def layers(self, cells: int, channels: int) -> tuple[Layer, ...]:
        """Return the layers of a network of so many cells; DARTS section 3.1: reductions at L//3 and 2L//3.

        Args:
            cells: number of cells L, at least 1.
            channels: channels of the first cell.
        """
        reductions = {cells // 3, 2 * cells // 3} if cells >= 3 else set()
        layers, width = [], channels
        for index in range(cells):
            reduction = index in reductions
            width = 2 * width if reduction else width
            layers.append(Layer(self.reduce if reduction else self.normal, width, reduction))
        return tuple(layers)


@dataclass(frozen=True)
class Stages(Skeleton):
    """The stack of NAS-Bench-201 (arXiv 2001.00326, section 2.1): three stages of one cell, residual blocks between.

    Every cell reads the one before it; the residual blocks halve the sides and double the channels.
    """

    stem_multiplier: int = 1
    inputs: int = 1
    last_norm: bool = True

    def layers(self, cells: int, channels: int) -> tuple[Layer, ...]:
        """Return the layers of a network of so many cells in all, dealt to three stages (published: 15, 5 a stage).

        The stages begin where DARTS has its reduction cells, at L//3 and 2L//3; fewer than 3 cells are one stage.

        Args:
            cells: number of cells L, at least 1.
            channels: channels of the first stage.
        """
        return tuple(
            replace(layer, cell=self.normal, reduction=False, residual=layer.reduction)
            for layer in super().layers(cells, channels)
        )


@dataclass(frozen=True)
class TimeSteps(Skeleton):
    """One cell over time: the layers are time steps and share their weights.

    Args:
        cell: the cell kind.
    """

    form: ClassVar[Literal["stack", "time"]] = "time"

    cell: str = "recurrent"

    def layers(self, cells: int, channels: int) -> tuple[Layer, ...]:
        """Return the layers of so many time steps.

        Args:
            cells: number of time steps.
            channels: hidden units.
        """
        return (Layer(self.cell, channels, False),) * cells
