"""Language modelling: the loss, the metrics, and how a network is measured on a whole text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from archgrad.errors import InputError, RunError
from archgrad.network.carried import handed_on, state_of
from archgrad.network.language import Reading
from archgrad.tasks.image import Measure

__all__ = ["CHUNKED_FROM", "LanguageTask", "next_token_loss", "perplexity"]

CHUNKED_FROM = 2**22
"""Scores of a window (tokens times vocabulary) from which on they are computed piece by piece: 16 MiB in float32."""


def perplexity(loss: float) -> float:
    """Return exp(L) of a mean negative log-likelihood L in nats; infinite where that is too large for a number."""
    return math.exp(loss) if loss < 700 else math.inf


def next_token_loss(
    states: Tensor, embedding: Tensor, bias: Tensor, targets: Tensor, *, chunked: bool | None = None
) -> Tensor:
    """Return the mean of -log softmax(h E' + b)[target] over all positions.

    In pieces the scores of all positions never exist at once; the gradients are computed in the forward, so that path
    cannot be differentiated twice.

    Args:
        states: h, [..., H].
        embedding: E, [V, H].
        bias: b, [V].
        targets: int64 [...], of the same positions.
        chunked: whether in pieces; None takes them from :data:`CHUNKED_FROM` scores on, where this torch has them.
    """
    rows, wanted = states.reshape(-1, states.shape[-1]), targets.reshape(-1)
    there = hasattr(F, "linear_cross_entropy")  # since torch 2.13
    if chunked is None:
        chunked = len(rows) * len(embedding) >= CHUNKED_FROM
    if not (chunked and there):
        return F.cross_entropy(F.linear(rows, embedding, bias), wanted)
    options = torch.nn.LinearCrossEntropyOptions()
    return F.linear_cross_entropy(rows, embedding, wanted, linear_bias=bias, options=options)


class LanguageTask:
    """Predict the next token.

    Args:
        loss: of scores [n, V] and targets int64 [n], one differentiable number; cross entropy if None.
        metrics: name -> callable of the same arguments, one number averaged over the tokens; perplexity and bits per
            token if None.
        twice: whether the loss will be differentiated twice, which the computation in pieces does not allow.

    Raises:
        InputError: a loss or metric cannot be called, or a metric is called "loss".
    """

    name = "language"

    def __init__(
        self, *, loss: Measure | None = None, metrics: Mapping[str, Measure] | None = None, twice: bool = False
    ) -> None:
        for what, given in {"loss": loss, **(metrics or {})}.items():
            if given is not None and not callable(given):
                raise InputError(f"'{what}' must be a callable of (output, target), got {type(given).__name__}.")
        if metrics is not None and "loss" in metrics:
            raise InputError("No metric may be called 'loss': the loss is reported under that name.")
        self._loss, self.metrics, self._chunked = loss, metrics, False if twice else None

    def loss(self, output: Reading, target: Tensor) -> Tensor:
        """Return the mean loss over all tokens of a window.

        Args:
            output: what a network made of tokens [N, T].
            target: the tokens that come next, [N, T].

        Raises:
            InputError: the user's loss returned something else than one number as a tensor.
        """
        wanted = target.transpose(0, 1)  # networks give their states time step by time step
        if self._loss is None:
            return next_token_loss(output.states, output.embedding, output.bias, wanted, chunked=self._chunked)
        value = self._loss(output.scores().flatten(0, 1), wanted.reshape(-1))
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError(f"The loss must return one number as a tensor; it returned {type(value).__name__}.")
        return value.reshape(())

    def training_loss(self, label_smoothing: float = 0.0) -> Callable[[Reading, Tensor], Tensor]:
        """Return the loss to train with.

        Raises:
            InputError: labels are to be smoothed.
        """
        if label_smoothing:
            raise InputError("train.label_smoothing belongs to the classification of images; leave it out.")
        return self.loss

    @torch.no_grad()
    def evaluate(self, network: Callable[..., Reading], batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Measure a network on one text, without changing its mode: the caller chooses eval or train.

        Args:
            network: makes a :class:`Reading` of tokens [N, T] and, but for the first batch, of the state before them.
            batches: (inputs, targets), in the order of the text, for instance ``data.once("validation")``.

        Returns:
            ``loss`` (the mean negative log-likelihood of a token in nats), ``perplexity`` (its exponential) and
            ``bits`` (the same per token to the base 2), or in place of these two the user's own metrics.

        Raises:
            RunError: there are no batches.
        """
        state: Tensor | None = None
        count, sums = 0, dict.fromkeys(["loss", *(self.metrics or ())], 0.0)
        for x, y in batches:
            output = network(x, *handed_on(state, len(x)))
            state = state_of(output)
            sums["loss"] += float(self.loss(output, y)) * y.numel()
            count += y.numel()
            for name, measure in (self.metrics or {}).items():
                value: Any = measure(output.scores().flatten(0, 1), y.transpose(0, 1).reshape(-1))
                sums[name] += float(value) * y.numel()
        if not count:
            raise RunError("There is nothing to evaluate on: the data gave no batches.")
        means = {name: total / count for name, total in sums.items()}
        if self.metrics is None:
            means |= {"perplexity": perplexity(means["loss"]), "bits": means["loss"] / math.log(2)}
        return means
