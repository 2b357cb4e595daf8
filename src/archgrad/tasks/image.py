"""Image classification: the loss, the metrics, and how a network is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from archgrad.errors import InputError, RunError

if TYPE_CHECKING:
    from archgrad.tasks.data import Data

__all__ = ["ImageTask", "Measure", "accuracy"]

Measure = Callable[[Tensor, Tensor], Tensor | float]
"""Makes one number of (output, target): a loss, averaged over the batch, or a metric."""


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return the share of examples in [0, 1] whose largest logit [N, classes] is the target's [N]."""
    from torchmetrics.functional.classification import multiclass_accuracy

    return multiclass_accuracy(output, target, num_classes=output.shape[1], average="micro")


class ImageTask:
    """Classify images.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: names of the classes.
        loss: of logits [N, classes] and targets int64 [N], one differentiable number; cross entropy if None.
        metrics: name -> callable of the same arguments, one number averaged over the batch; accuracy if None.

    Raises:
        InputError: a loss or metric cannot be called, or a metric is called "loss".
    """

    name = "image"

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: Sequence[str],
        *,
        loss: Measure | None = None,
        metrics: Mapping[str, Measure] | None = None,
    ) -> None:
        if loss is not None and not callable(loss):
            raise InputError(f"The loss must be a callable of (output, target), got {type(loss).__name__}.")
        self.input_shape = tuple(input_shape)
        self.classes = tuple(classes)
        self.metrics: dict[str, Measure] = {"accuracy": accuracy} if metrics is None else dict(metrics)
        wrong = _not_callable(self.metrics)
        if wrong:
            raise InputError(f"Metrics must be callables of (output, target); these are not: {', '.join(wrong)}.")
        if "loss" in self.metrics:
            raise InputError(
                "No metric may be called 'loss': the loss is reported under that name. Choose another name."
            )
        self._loss: Measure = F.cross_entropy if loss is None else loss

    @classmethod
    def of(cls, data: Data, *, loss: Measure | None = None, metrics: Mapping[str, Measure] | None = None) -> ImageTask:
        """Return the task that suits these data."""
        return cls(data.input_shape, data.classes, loss=loss, metrics=metrics)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits [N, classes] and targets int64 [N], averaged over the batch.

        Raises:
            InputError: the user's loss returned something else than one number as a tensor.
        """
        value = self._loss(output, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InputError(
                f"The loss must return one number as a tensor, averaged over the batch; it returned {what}."
            )
        return value.reshape(())

    def training_loss(self, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the loss to train with.

        Args:
            label_smoothing: share of the target that is spread over all classes (arXiv 1512.00567, section 7).

        Raises:
            InputError: labels are to be smoothed, but the loss is the user's own.
        """
        if not label_smoothing:
            return self.loss
        if self._loss is not F.cross_entropy:
            raise InputError(
                f"train.label_smoothing={label_smoothing} belongs to cross entropy and was given with a loss of your "
                "own. Smooth the labels within your loss, or leave one of the two out."
            )
        return partial(F.cross_entropy, label_smoothing=label_smoothing)

    @torch.no_grad()
    def evaluate(
        self, network: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
    ) -> dict[str, float]:
        """Measure a network, without changing its mode: the caller chooses eval or train.

        Args:
            network: logits [N, classes] of inputs [N, C, H, W].
            batches: (inputs, targets), for instance ``data.once("validation")``.

        Returns:
            ``loss`` and every metric, each the mean over batches weighted by their sizes, so that with averages a
            smaller last batch counts for what it holds.

        Raises:
            RunError: there are no batches.
            InputError: a metric returned something else than one number.
        """
        measures: dict[str, Measure] = {"loss": self.loss, **self.metrics}
        sizes: list[int] = []
        values: dict[str, list[Tensor]] = {name: [] for name in measures}
        for inputs, targets in batches:
            output = network(inputs)
            sizes.append(len(targets))
            for name, measure in measures.items():
                values[name].append(_number(name, measure(output, targets), output.device))
        if not sizes:
            raise RunError("There is nothing to evaluate on: the data gave no batches.")
        # brought over once, because every transfer of a single number waits for the GPU
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        return {name: float(torch.stack(each).cpu().double() @ weights) for name, each in values.items()}


def _not_callable(given: Mapping[str, object]) -> list[str]:
    return [name for name, value in given.items() if not callable(value)]


def _number(name: str, value: object, device: torch.device) -> Tensor:
    try:
        number = torch.as_tensor(value, dtype=torch.float32, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"Metric '{name}' must return one number, it returned {type(value).__name__}.") from error
    if number.numel() != 1:
        raise InputError(f"Metric '{name}' must return one number, it returned {number.numel()}.")
    return number.detach().reshape(())
