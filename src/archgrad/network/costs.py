"""What operations and networks cost: parameters, multiply-adds and memory access, declared or counted.

An operation's own formulas stand beside it in ``modules.py``; one that declares none (a user's own) is built and run
once on one image, and what passes through its convolutions, matrix products and poolings is counted the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from archgrad.errors import unknown
from archgrad.network.image import ImageNetwork
from archgrad.network.modules import COSTS, OPERATIONS, STEMS, Cost, make_operation
from archgrad.space.skeleton import Layer

__all__ = [
    "Sides",
    "count_cost",
    "count_memory_access",
    "edge_place",
    "halved",
    "layer_sides",
    "operation_cost",
    "stem_sides",
]

Sides = tuple[int, int]
"""Height and width of a map."""


def operation_cost(name: str, channels: int, stride: int, sides: Sides) -> Cost:
    """Return what one operation costs for one image.

    Args:
        name: a key of :data:`archgrad.network.modules.OPERATIONS`.
        channels: channels in and out.
        stride: 1 or 2.
        sides: height and width of its input.

    Raises:
        InputError: there is no such operation.
    """
    if name not in OPERATIONS:
        raise unknown("operation", name, OPERATIONS)
    if name in COSTS:
        height, width = halved(sides) if stride == 2 else sides
        return COSTS[name](channels, stride, height * width)
    with torch.random.fork_rng(devices=[]):  # a search must not depend on whether a cost was counted
        module = make_operation(name, channels, stride, affine=False, pool_norm=True)
    return count_cost(module, (channels, *sides))


def halved(sides: Sides) -> Sides:
    """Return the sides of a map after an operation of stride 2."""
    return -(-sides[0] // 2), -(-sides[1] // 2)


def stem_sides(stem: str, sides: Sides) -> tuple[Sides, Sides]:
    """Return the sides of the two states that a stem hands to the first cell, the farther one first.

    Args:
        stem: its name, a key of :data:`archgrad.network.modules.STEMS`.
        sides: height and width of the images.
    """
    with torch.device("meta"):
        farther, nearer = STEMS[stem](1, 1).states(torch.zeros(2, 1, *sides))
    return (farther.shape[2], farther.shape[3]), (nearer.shape[2], nearer.shape[3])


def layer_sides(layers: Sequence[Layer], sides: Sides) -> tuple[Sides, ...]:
    """Return the sides of every layer's input nodes; reductions halve them, residual blocks do so before the cell.

    Args:
        layers: of the supernet or the network, in order.
        sides: height and width of what the stem hands to the first cell.
    """
    found = []
    for layer in layers:
        sides = halved(sides) if layer.residual else sides
        found.append(sides)
        sides = halved(sides) if layer.reduction else sides
    return tuple(found)


def edge_place(layer: Layer, sides: Sides, from_input: bool) -> tuple[int, Sides]:
    """Return stride and input sides of an edge's operation.

    Args:
        layer: where the cell sits.
        sides: of the layer's input nodes.
        from_input: whether the edge leaves one of the cell's inputs; such edges halve the sides in a reduction cell.
    """
    if not layer.reduction:
        return 1, sides
    return (2, sides) if from_input else (1, halved(sides))


def count_cost(module: nn.Module, input_shape: Sequence[int]) -> Cost:
    """Count what a module costs for one example: all its parameters, multiply-adds, numbers read and written.

    Args:
        module: any module; it is run once, in evaluation mode.
        input_shape: shape of one example, without the batch.
    """
    traffic = _Traffic()  # type: ignore[no-untyped-call]
    was_training = module.training
    module.eval()
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    with torch.no_grad(), FlopCounterMode(display=False) as flops, traffic:
        module(torch.zeros(1, *input_shape, device=device))
    module.train(was_training)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Cost(parameters, int(flops.get_total_flops()) // 2 + traffic.pooled, traffic.moved)


def count_memory_access(network: ImageNetwork, input_shape: Sequence[int]) -> int:
    """Count the numbers that a network reads and writes for one image: weights and maps of every operation.

    An identity on an edge counts as in :data:`archgrad.network.modules.COSTS`, where it is read and written once.

    Args:
        network: a derived network.
        input_shape: (C, H, W) of one image.
    """
    copied = 0

    def copy(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal copied
        copied += 2 * output.numel()

    edges = [operation for cell in network.cells for operation in cell.operations]  # type: ignore[union-attr]
    hooks = [edge.register_forward_hook(copy) for edge in edges if isinstance(edge, nn.Identity)]
    try:
        return count_cost(network, input_shape).memory_access + copied
    finally:
        for hook in hooks:
            hook.remove()


class _Traffic(TorchDispatchMode):
    """Counts what convolutions, matrix products and poolings read and write, and the numbers under pooling windows."""

    moved = 0
    pooled = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in _MOVING or name in _POOLING:
            first = output[0] if isinstance(output, tuple) else output
            self.moved += first.numel() + sum(given.numel() for given in args if isinstance(given, Tensor))
        if name in _POOLING:
            self.pooled += first.numel() * _POOLING[name](args)
        return output


def _window(args: Any) -> int:
    """Return how many numbers a pooling window has: aten's poolings take (input, kernel, stride, ...)."""
    height, width = args[1] if len(args[1]) > 1 else 2 * args[1]
    return int(height * width)


def _adaptive_window(args: Any) -> int:
    """Return the numbers of a window that tiles the input: aten's adaptive poolings take (input, output size)."""
    (height, width), (rows, columns) = args[0].shape[-2:], args[1]
    return int(height * width) // int(rows * columns)


_MOVING = {"convolution", "_convolution", "mm", "addmm", "bmm", "baddbmm"}
_POOLING: dict[str, Callable[[Any], int]] = {
    "max_pool2d_with_indices": _window,
    "avg_pool2d": _window,
    "_adaptive_avg_pool2d": _adaptive_window,
}
