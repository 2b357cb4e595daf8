"""Forecasting: the loss, the metrics, and how a network is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from archgrad.errors import InputError, RunError
from archgrad.tasks.image import Measure

__all__ = ["ForecastTask", "correlation", "relative_squared_error"]


def relative_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Return sqrt(sum (y - f)^2) / sqrt(sum (y - mean(y))^2) over everything: 1 is the mean of all (LSTNet, RSE).

    Args:
        output: forecasts f, any shape.
        target: y, of the same shape.
    """
    return ((target - output).square().sum() / (target - target.mean()).square().sum().clamp_min(1e-12)).sqrt()


def correlation(output: Tensor, target: Tensor) -> Tensor:
    """Return the correlation over the windows, averaged over horizon steps and series that vary (LSTNet, CORR).

    Args:
        output: forecasts [N, horizon, targets].
        target: of the same shape.
    """
    f, y = output - output.mean(dim=0), target - target.mean(dim=0)
    product = (f * y).mean(dim=0)
    spread = f.square().mean(dim=0).sqrt() * y.square().mean(dim=0).sqrt()
    varies = y.square().mean(dim=0) > 0
    each = torch.where(spread > 0, product / spread.clamp_min(1e-12), torch.zeros_like(product))
    return each[varies].mean() if bool(varies.any()) else torch.zeros(())


class ForecastTask:
    """Forecast series.

    Errors are standardised by the spreads of the training rows, so that every series counts alike; those that end in
    ``_data`` are in the data's units.

    Args:
        std: spread of every target.
        loss: of forecasts and truth [N, horizon, targets] in the data's units, one differentiable number; the
            standardised mean squared error if None.
        metrics: name -> callable of all forecasts and truths of a part; see :meth:`evaluate` if None.

    Raises:
        InputError: a loss or metric cannot be called, or a metric is called "loss".
    """

    name = "forecasting"

    def __init__(
        self, std: Sequence[float], *, loss: Measure | None = None, metrics: Mapping[str, Measure] | None = None
    ) -> None:
        for what, given in {"loss": loss, **(metrics or {})}.items():
            if given is not None and not callable(given):
                raise InputError(f"'{what}' must be a callable of (output, target), got {type(given).__name__}.")
        if metrics is not None and "loss" in metrics:
            raise InputError("No metric may be called 'loss': the loss is reported under that name.")
        self.std = torch.tensor(list(std))
        self._loss = loss
        self.metrics: dict[str, Measure] = self._own() if metrics is None else dict(metrics)

    def _own(self) -> dict[str, Measure]:
        def scaled(measure: Callable[[Tensor, Tensor], Tensor]) -> Measure:
            return lambda output, target: measure(output / self._scale(output), target / self._scale(target))

        def mse(output: Tensor, target: Tensor) -> Tensor:
            return (output - target).square().mean()

        def mae(output: Tensor, target: Tensor) -> Tensor:
            return (output - target).abs().mean()

        return {
            "mse": scaled(mse),
            "mae": scaled(mae),
            "rse": scaled(relative_squared_error),
            "corr": correlation,
            "mse_data": mse,
            "mae_data": mae,
        }

    def _scale(self, like: Tensor) -> Tensor:
        return self.std.to(like)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of forecasts and truth [N, horizon, targets] in the data's units, averaged over the batch.

        Raises:
            InputError: the user's loss returned something else than one number as a tensor.
        """
        if self._loss is None:
            return ((output - target) / self._scale(output)).square().mean()
        value = self._loss(output, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError(f"The loss must return one number as a tensor; it returned {type(value).__name__}.")
        return value.reshape(())

    def training_loss(self, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the loss to train with.

        Raises:
            InputError: labels are to be smoothed, but there are none.
        """
        if label_smoothing:
            raise InputError("train.label_smoothing belongs to classification; forecasting has no labels.")
        return self.loss

    @torch.no_grad()
    def evaluate(
        self, network: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
    ) -> dict[str, float]:
        """Measure a network, without changing its mode: the caller chooses eval or train.

        Args:
            network: forecasts [N, horizon, targets] of windows [N, T, F].
            batches: (windows, truth), for instance ``data.once("validation")``.

        Returns:
            ``loss``, and over all windows at once: ``mse`` and ``mae`` (standardised), ``rse``, ``corr``, and
            ``mse_data`` and ``mae_data`` (in the data's units), or the user's own metrics.

        Raises:
            RunError: there are no batches.
        """
        pairs = [(network(x), y) for x, y in batches]
        if not pairs:
            raise RunError("There is nothing to evaluate on: the data gave no batches.")
        output, target = (torch.cat(parts).cpu().double() for parts in zip(*pairs, strict=True))
        measures: dict[str, Measure] = {"loss": self.loss, **self.metrics}
        return {name: float(measure(output, target)) for name, measure in measures.items()}
