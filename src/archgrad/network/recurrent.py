"""The formulas of both recurrent spaces, each once: the derived network and the supernet are made of them.

It imports torch alone, so that a standalone export can copy this file. Everything runs on [N, features] tensors, one
time step after another.

Sources: ``darts-rnn`` is the recurrent cell of DARTS (arXiv 1806.09055, section 3.1.2 and its public code);
``two-input-rnn`` keeps both operands apart and knows the Hadamard product (after arXiv 2106.07211; reconstruction).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "ACTIVATIONS",
    "LIMIT",
    "SequenceNorm",
    "average",
    "bounded",
    "combined",
    "highway",
    "joined",
    "masked",
    "matrix",
    "merged_input",
    "variational_mask",
    "weighted_average",
]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}

LIMIT = 1e3
"""Largest magnitude of a state; beyond it is cut off. Nothing in use comes near, but without a bound the product of two
operands squares itself from node to node and a long sequence ends in infinities."""


def bounded(state: Tensor) -> Tensor:
    """Return a state with every entry within +-:data:`LIMIT`."""
    return state.clamp(-LIMIT, LIMIT)


def highway(state: Tensor, projected: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Return s + c (f(h) - s), where c is the gate: one edge of a DARTS-RNN cell.

    Args:
        state: s, the predecessor's state, [N, H].
        projected: [c, h] = s W before the gate's sigmoid, [N, 2H].
        activation: f.
    """
    gate, candidate = projected.chunk(2, dim=-1)
    return state + torch.sigmoid(gate) * (activation(candidate) - state)


def merged_input(hidden: Tensor, projected: Tensor) -> Tensor:
    """Return s_0 = h' + sigmoid(c) (tanh(g) - h'), the input node of a DARTS-RNN cell.

    Args:
        hidden: h', the previous hidden state, [N, H].
        projected: [c, g] = [x, h'] W_0, [N, 2H].
    """
    return highway(hidden, projected, torch.tanh)


def average(total: Tensor, weight: Tensor | float) -> Tensor:
    """Return sum_e w_e t_e / max(1, sum_e w_e): several edges into one recurrent node are averaged.

    A plain sum without a norm would grow from step to step. Below a sum of 1 nothing is scaled up, so weight that lies
    on ``none`` still weakens a node.

    Args:
        total: the sum of the weighted terms.
        weight: the sum of their weights.
    """
    if isinstance(weight, Tensor):
        return total / weight.clamp_min(1.0)
    return total if weight <= 1.0 else total / weight


def weighted_average(terms: Sequence[tuple[float, Tensor]], like: Tensor) -> Tensor:
    """Return the :func:`average` of terms with their weights w_e; zeros like a state where there are none."""
    if not terms:
        return torch.zeros_like(like)
    # a term that weighs 1 is taken as it is: most are alone, and each operation more is one a node and time step
    total, *rest = (term if weight == 1.0 else weight * term for weight, term in terms)
    for term in rest:
        total = total + term
    return average(total, sum(weight for weight, _ in terms))


def combined(a: Tensor, b: Tensor, how: str) -> Tensor:
    """Return a + b for "add" or the Hadamard product of a and b for "multiply"."""
    return a + b if how == "add" else a * b


def joined(states: list[Tensor], how: str, gates: Tensor | None = None) -> Tensor:
    """Return a cell's output from the states of its output nodes.

    Args:
        states: [N, H] each.
        how: "mean", "last", or "learned" for sum_i gamma_i s_i / sum_i gamma_i.
        gates: gamma, one per state, where it is learned.
    """
    if how == "last":
        return states[-1]
    if gates is None:
        return torch.stack(states).mean(dim=0)
    return torch.einsum("i,inh->nh", gates / gates.sum(), torch.stack(states))


def matrix(rows: int, columns: int, spread: float) -> nn.Parameter:
    """Return a weight matrix, uniform in +-spread."""
    return nn.Parameter(torch.empty(rows, columns).uniform_(-spread, spread))


def variational_mask(like: Tensor, width: int, probability: float) -> Tensor | None:
    """Return a dropout mask [N, width] for a whole sequence, or None where nothing is dropped (arXiv 1512.05287).

    Args:
        like: gives N (its second dimension), device and dtype; [T, N, F].
        width: number of features.
        probability: with which a feature is zeroed; the rest is scaled up, so the mean stays.
    """
    if probability <= 0.0:
        return None
    return like.new_empty(like.shape[1], width).bernoulli_(1.0 - probability) / (1.0 - probability)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return x under a dropout mask, or as it is."""
    return x if mask is None else x * mask


class SequenceNorm(nn.BatchNorm1d):
    """Non-affine batch norm of one node over a sequence: each step by its own batch, statistics written once a forward.

    ``nn.BatchNorm1d`` would write its running statistics at every time step, so that they forget all but the last
    few. Here a forward contributes the average over its steps: call :meth:`begin` before the first step and
    :meth:`finish` after the last.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False)
        self._seen: list[Tensor] = []
        self._steps = 0

    def begin(self) -> None:
        """Forget the steps of an earlier forward."""
        self._seen, self._steps = [], 0

    def forward(self, input: Tensor) -> Tensor:
        """Return the states [N, H] of one step, normalised."""
        mean, variance, training, momentum = self.step()
        return functional.batch_norm(input, mean, variance, None, None, training, momentum, self.eps)

    def step(self) -> tuple[Tensor | None, Tensor | None, bool, float]:
        """Begin a time step: return what a batch norm gets as means, variances, training and momentum."""
        mean, variance = self.running_mean, self.running_var
        assert mean is not None and variance is not None
        if not self.training:
            return mean, variance, False, 0.0
        if not self.track_running_stats:
            return None, None, True, 0.0
        if not self._seen:
            self._seen = [torch.zeros_like(mean), torch.zeros_like(variance)]
        self._steps += 1
        return self._seen[0], self._seen[1], True, 1.0 / self._steps

    def finish(self) -> None:
        """Move the running statistics towards the average of this forward's steps."""
        if self._seen and self.running_mean is not None and self.running_var is not None:
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(self._seen[0], momentum)
            self.running_var.lerp_(self._seen[1], momentum)
        self.begin()
