"""How cells are stacked into a network: stem, order, channels and reductions, as plain data that both networks read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Layer", "Skeleton"]


@dataclass(frozen=True)
class Layer:
    """One layer of the stack.

    Args:
        cell: the cell kind that sits there.
        channels: channels of each of its nodes.
        reduction: whether the cell halves the sides.
    """

    cell: str
    channels: int
    reduction: bool


@dataclass(frozen=True)
class Skeleton:
    """The stack of DARTS: reduction cells at one and two thirds of the depth, where the channels double.

    Args:
        stem_multiplier: the stem has this many times the first cell's channels (DARTS: 3).
        inputs: how many earlier cells each cell reads (DARTS: 2).
        normal: cell kind of the layers that keep the sides.
        reduce: cell kind of the layers that halve them.
    """

    stem_multiplier: int = 3
    inputs: int = 2
    normal: str = "normal"
    reduce: str = "reduce"

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
