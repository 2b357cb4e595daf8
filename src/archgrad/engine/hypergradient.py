"""With which gradient the choices learn: first order, or through one unrolled step of the weights.

The bilevel problem of DARTS (arXiv 1806.09055, equations 3 and 4) is seen through :class:`Bilevel` alone, so the same
functions serve the supernet and a closed-form test problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from archgrad.errors import InputError

__all__ = ["Bilevel", "FirstOrder", "Hypergradient", "InnerStep", "Unrolled", "perturbed", "unrolled_weights"]

Level = Literal["train", "validation"]


@dataclass(frozen=True)
class InnerStep:
    """The one step of SGD that is unrolled.

    Args:
        rate: learning rate xi.
        momentum: factor on the optimiser's buffers.
        decay: weight decay, added to the gradient.
        buffers: parameter name -> momentum buffer; missing where there is none yet.
    """

    rate: float
    momentum: float = 0.0
    decay: float = 0.0
    buffers: Mapping[str, Tensor] = field(default_factory=dict)


class Bilevel(Protocol):
    """The two losses of one update. Every evaluation uses the same batches, noise, layout and dropout masks."""

    @property
    def weights(self) -> dict[str, Tensor]:
        """The network's weights w by name."""
        ...

    @property
    def choices(self) -> list[Tensor]:
        """The choices alpha."""
        ...

    @property
    def inner(self) -> InnerStep:
        """The weight step that an unrolled gradient differentiates through."""
        ...

    def gradient(
        self,
        level: Level,
        inputs: Sequence[Tensor],
        weights: Mapping[str, Tensor] | None = None,
        create_graph: bool = False,
    ) -> list[Tensor]:
        """Return the gradients of one of the losses.

        Args:
            level: L_train or L_val.
            inputs: what to differentiate with respect to; zeros where the loss does not depend on it.
            weights: used in place of w, by name; they may depend on the choices.
            create_graph: whether the result can be differentiated again.
        """
        ...


class Hypergradient(Protocol):
    """Computes the gradient of the validation loss with respect to the choices."""

    def __call__(self, problem: Bilevel) -> list[Tensor]:
        """Return one gradient per tensor of ``problem.choices``."""
        ...


@dataclass(frozen=True)
class FirstOrder:
    """DARTS' first-order approximation (equation 6 with xi = 0): the gradient of L_val(w, alpha) at the current w."""

    def __call__(self, problem: Bilevel) -> list[Tensor]:
        """Return dL_val/dalpha; no gradient of a weight is computed."""
        return problem.gradient("validation", problem.choices)


@dataclass(frozen=True)
class Unrolled:
    """DARTS' one-step unrolled gradient of L_val(w', alpha), w' = w after one SGD step on L_train (equation 6).

    Args:
        method: "finite_difference": the Hessian product by two evaluations (equation 8, as published); "autograd":
            exactly, by differentiating through the step, at more memory.
        epsilon: scale of the finite difference, divided by the norm of the vector (DARTS: 0.01).

    Raises:
        InputError: unknown method.
    """

    method: Literal["finite_difference", "autograd"] = "finite_difference"
    epsilon: float = 0.01

    def __post_init__(self) -> None:
        if self.method not in ("finite_difference", "autograd"):
            raise InputError(f"hypergradient.method '{self.method}' is unknown; use finite_difference or autograd.")

    def __call__(self, problem: Bilevel) -> list[Tensor]:
        """Return dL_val(w'(alpha), alpha)/dalpha."""
        exact = self.method == "autograd"
        gradients = problem.gradient("train", list(problem.weights.values()), create_graph=exact)
        ahead = unrolled_weights(problem.weights, gradients, problem.inner)
        if exact:
            return problem.gradient("validation", problem.choices, weights=ahead)
        ahead = {name: weight.detach().requires_grad_() for name, weight in ahead.items()}
        both = problem.gradient("validation", [*ahead.values(), *problem.choices], weights=ahead)
        vector, direct = both[: len(ahead)], both[len(ahead) :]
        mixed = self._mixed_product(problem, vector)
        return [d - problem.inner.rate * m for d, m in zip(direct, mixed, strict=True)]

    def _mixed_product(self, problem: Bilevel, vector: list[Tensor]) -> list[Tensor]:
        """Return (d2 L_train / dalpha dw) v by central differences at w +- eps v (equation 8)."""
        norm = torch.sqrt(sum(((v * v).sum() for v in vector), start=vector[0].new_zeros(())))
        if float(norm) == 0.0:
            return [torch.zeros_like(choice) for choice in problem.choices]
        eps = self.epsilon / norm
        plus = problem.gradient("train", problem.choices, weights=perturbed(problem.weights, vector, eps))
        minus = problem.gradient("train", problem.choices, weights=perturbed(problem.weights, vector, -eps))
        return [(p - n) / (2 * eps) for p, n in zip(plus, minus, strict=True)]


def unrolled_weights(weights: Mapping[str, Tensor], gradients: Sequence[Tensor], inner: InnerStep) -> dict[str, Tensor]:
    """Return w' = w - xi (mu b + g + lambda w): one SGD step with momentum mu, buffer b and weight decay lambda."""
    ahead = {}
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        step = gradient + inner.decay * weight
        if name in inner.buffers:
            step = step + inner.momentum * inner.buffers[name]
        ahead[name] = weight - inner.rate * step
    return ahead


def perturbed(weights: Mapping[str, Tensor], vector: Sequence[Tensor], eps: Tensor) -> dict[str, Tensor]:
    """Return w + eps v, detached."""
    return {name: (w + eps * v).detach() for (name, w), v in zip(weights.items(), vector, strict=True)}
