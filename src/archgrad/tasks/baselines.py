"""What a found network is compared with: logistic regression, and a plain convolutional network of at least its size.

Both see exactly the data that the found network trains on (part ``train``) and are measured on the part that nothing
else touches (``test``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archgrad.errors import InputError
from archgrad.tasks.equal_size import MeasuredBaseline

if TYPE_CHECKING:
    from archgrad.tasks.data import Data

__all__ = ["PlainNetwork", "logistic_regression", "plain_network"]


class PlainNetwork(nn.Module):
    """Three stages of two 3x3 convolutions, each with batch norm and ReLU; width doubles and resolution halves between.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: number of classes.
        width: channels of the first stage.
        mean: per channel, of images in [0, 1]; subtracted from the input.
        std: per channel; divides the input.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, input_shape: Sequence[int], classes: int, width: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        layers: list[nn.Module] = []
        channels = input_shape[0]
        for stage in range(3):
            if stage:
                # ceil_mode: an image side of 1 stays 1 instead of vanishing
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            for _ in range(2):
                layers += [
                    nn.Conv2d(channels, width * 2**stage, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width * 2**stage),
                    nn.ReLU(inplace=True),
                ]
                channels = width * 2**stage
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes] of images [N, C, H, W] in [0, 1]."""
        features: Tensor = self.features((images - self.mean) / self.std)
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits


def plain_network(
    data: Data,
    *,
    at_least: int,
    epochs: int,
    rate: float = 0.025,
    momentum: float = 0.9,
    weight_decay: float = 3e-4,
    clip: float = 5.0,
    seed: int = 0,
) -> MeasuredBaseline:
    """Train the narrowest plain convolutional network that is no smaller than the found one, and test it.

    The settings are those of the found network (SGD with a cosine to 0, DARTS' evaluation settings), so that what
    remains is the difference between the architectures.

    Args:
        data: images with the parts ``train`` and ``test``; its device is where the network trains.
        at_least: parameters that the network must have at the least.
        epochs: passes over the part ``train``.
        rate: learning rate of the first step.
        momentum: of SGD.
        weight_decay: of SGD.
        clip: largest norm of the gradient.
        seed: of the initial weights; the order of the data is the data's own.

    Raises:
        InputError: fewer than one epoch, or the test part is empty.
    """
    if epochs < 1:
        raise InputError(f"A baseline needs at least one epoch of training; got epochs={epochs}.")
    batches = data.stream("train")
    first = next(batches)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _narrowest(data, at_least).to(first[0].device)
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum, weight_decay=weight_decay)
    steps = epochs * data.steps("train")
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    started = time.perf_counter()
    network.train()
    images, targets = first
    for step in range(steps):
        if step:
            images, targets = next(batches)
        optimiser.zero_grad()
        F.cross_entropy(network(images), targets).backward()
        nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimiser.step()
        schedule.step()
    seconds = time.perf_counter() - started
    return MeasuredBaseline(
        name="plain convolutional network",
        metrics={"accuracy": _accuracy(network, data)},
        parameters=_count(network),
        seconds=seconds,
    )


def logistic_regression(data: Data) -> MeasuredBaseline:
    """Fit scikit-learn's logistic regression on standardised pixels, and test it.

    Args:
        data: images with the parts ``train`` and ``test``; the whole part ``train`` is held in memory at once.

    Raises:
        InputError: the test part is empty.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    images, targets = _whole(data, "train")
    test_images, test_targets = _whole(data, "test")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    started = time.perf_counter()
    model.fit(images.numpy(), targets.numpy())
    seconds = time.perf_counter() - started
    last = model[-1]
    return MeasuredBaseline(
        name="logistic regression",
        metrics={"accuracy": float(model.score(test_images.numpy(), test_targets.numpy()))},
        parameters=int(last.coef_.size + last.intercept_.size),
        seconds=seconds,
    )


def _narrowest(data: Data, at_least: int) -> PlainNetwork:
    """Build the network of the smallest width that has at least so many parameters."""

    # The count grows with the square of the width, so a few doublings and a bisection find it.
    def parameters(width: int) -> int:
        with torch.device("meta"):
            return _count(build(width))

    def build(width: int) -> PlainNetwork:
        return PlainNetwork(data.input_shape, len(data.classes), width, data.mean, data.std)

    low, high = 0, 1
    while parameters(high) < at_least:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if parameters(middle) >= at_least else (middle, high)
    return build(high)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _accuracy(network: nn.Module, data: Data) -> float:
    """Return the share of the test part that the network classifies rightly, in [0, 1]."""
    network.eval()
    right = seen = 0
    with torch.no_grad():
        for images, targets in data.once("test"):
            right += int((network(images).argmax(1) == targets).sum())
            seen += len(targets)
    if not seen:
        raise InputError(f"The test part of {data.name} is empty: there is nothing to measure a baseline on.")
    return right / seen


def _whole(data: Data, part: str) -> tuple[Tensor, Tensor]:
    """Return a part as flat pixels [N, C*H*W] and targets [N] on the CPU."""
    batches = list(data.once(part))
    if not batches:
        raise InputError(f"The {part} part of {data.name} is empty: a baseline cannot be made from it.")
    images = torch.cat([images.flatten(1).cpu() for images, _ in batches])
    return images, torch.cat([targets.cpu() for _, targets in batches])
