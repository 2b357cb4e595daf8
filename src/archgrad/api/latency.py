"""``measure_latency`` and ``predict_latency``: how long a network takes on this device, and how long it should take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from archgrad.architecture import Architecture
from archgrad.errors import InputError
from archgrad.network.build import blueprint, build
from archgrad.network.latency import LatencyTable, apart, measure, network_latency
from archgrad.tasks.data import find_device

__all__ = ["measure_latency", "predict_latency"]


def measure_latency(
    network: nn.Module | Architecture,
    *,
    input_shape: Sequence[int] = (3, 32, 32),
    batch: int = 1,
    device: str | torch.device = "auto",
    cells: int = 20,
    channels: int = 36,
    classes: int = 10,
) -> float:
    """Measure the milliseconds of one forward of a network: in evaluation mode, warmed up, the median of repeats.

    Args:
        network: any module that takes images, or an architecture whose network is built.
        input_shape: (C, H, W) of one image.
        batch: images in one forward.
        device: where; ``"auto"`` takes a GPU if there is one. A module goes there and comes back.
        cells: of an architecture's network (DARTS on CIFAR-10: 20).
        channels: of an architecture's network (DARTS on CIFAR-10: 36).
        classes: of an architecture's network.

    Raises:
        InputError: a size is not positive, a cell kind is missing, or there is no such device.
    """
    place, shape = find_device(device), _checked(batch, input_shape)
    with apart(place):
        if isinstance(network, Architecture):
            network = build(network, cells=cells, channels=channels, in_channels=shape[0], classes=classes)
        home = next((parameter.device for parameter in network.parameters()), place)
        was_training = network.training
        try:
            network.eval().to(place)
            images = torch.rand(batch, *shape, device=place)
            return measure(lambda: network(images), place)
        finally:
            network.train(was_training).to(home)


def predict_latency(
    architecture: Architecture,
    *,
    input_shape: Sequence[int] = (3, 32, 32),
    batch: int = 1,
    device: str | torch.device = "auto",
    cells: int = 20,
    channels: int = 36,
    classes: int = 10,
) -> float:
    """Predict the milliseconds of one forward as the sum of the latencies of all that the network is made of.

    Each operation is measured on this device at the sizes that it has in the network, once: the cache keeps it (in the
    folder that the environment variable ``ARCHGRAD_CACHE`` names, else in the platform's place for caches).

    Args:
        architecture: the cells.
        input_shape: (C, H, W) of one image.
        batch: images in one forward.
        device: where; ``"auto"`` takes a GPU if there is one.
        cells: of its network (DARTS on CIFAR-10: 20).
        channels: of its network (DARTS on CIFAR-10: 36).
        classes: of its network.

    Raises:
        InputError: a size is not positive, a cell kind is missing, or there is no such device.
    """
    place, shape = find_device(device), _checked(batch, input_shape)
    plan = blueprint(architecture, cells=cells, channels=channels, in_channels=shape[0], classes=classes)
    table = LatencyTable(place, batch, pool_norm=bool(architecture.network.get("pool_norm", False)))
    return network_latency(table, plan, (shape[1], shape[2]))


def _checked(batch: int, input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the input shape after checking both."""
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InputError(f"The input shape is {tuple(input_shape)}; it must be three positive numbers: (C, H, W).")
    if batch < 1:
        raise InputError(f"batch is {batch}; it must be at least 1.")
    channels, height, width = input_shape
    return channels, height, width
