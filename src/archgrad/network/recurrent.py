"""Recurrent cells over time: the formulas of both recurrent spaces, and derived cells as plain torch modules.

It imports torch alone, so that a standalone export can copy this file. The supernet uses the same functions on its
stacked weights. A cell is described by plain data, as in architecture.json, and everything runs on [N, features]
tensors, one time step after another.

Sources: ``darts-rnn`` is the recurrent cell of DARTS (arXiv 1806.09055, section 3.1.2 and its public code);
``two-input-rnn`` keeps both operands apart and knows the Hadamard product (after arXiv 2106.07211; reconstruction).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "ACTIVATIONS",
    "LIMIT",
    "HighwayCell",
    "Recurrence",
    "SequenceNorm",
    "TwoInputCell",
    "average",
    "bounded",
    "combined",
    "highway",
    "joined",
    "matrix",
    "merged_input",
    "variational_mask",
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
        mean, variance = self.running_mean, self.running_var
        assert mean is not None and variance is not None
        if not self.training:
            return functional.batch_norm(input, mean, variance, None, None, False, 0.0, self.eps)
        if not self.track_running_stats:
            return functional.batch_norm(input, None, None, None, None, True, 0.0, self.eps)
        if not self._seen:
            self._seen = [torch.zeros_like(mean), torch.zeros_like(variance)]
        self._steps += 1
        seen_mean, seen_variance = self._seen
        return functional.batch_norm(input, seen_mean, seen_variance, None, None, True, 1.0 / self._steps, self.eps)

    def finish(self) -> None:
        """Move the running statistics towards the average of this forward's steps."""
        if self._seen and self.running_mean is not None and self.running_var is not None:
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(self._seen[0], momentum)
            self.running_var.lerp_(self._seen[1], momentum)
        self.begin()


def _norms(count: int, hidden: int, norm: bool) -> nn.ModuleList:
    return nn.ModuleList(SequenceNorm(hidden) if norm else nn.Identity() for _ in range(count))


Terms = list[tuple[int, str, float]]


def _terms(description: dict[str, Any], target: int, operand: str | None) -> Terms:
    """Return (source, activation, weight) of every edge into a node or into one operand of it."""
    edges = description["edges"]
    weights = description.get("weights") or [1.0] * len(edges)
    return [
        (edge[0], edge[2], float(weight))
        for edge, weight in zip(edges, weights, strict=True)
        if edge[1] == target and (edge[3] if len(edge) > 3 else None) == operand and edge[2] != "none"
    ]


class HighwayCell(nn.Module):
    """A derived cell of ``darts-rnn``: node 0 merges x_t and h_{t-1}, every other node reads earlier nodes.

    s_i is the average over its edges (j, f) of s_j + c (f(h) - s_j) with [c, h] = s_j W_i; W_i belongs to the node.

    Args:
        description: the cell as in architecture.json.
        inputs: features of x_t.
        hidden: units H of every node.
        network: the flag ``node_norm``.
        spread: weights start uniform in +- this.
    """

    def __init__(
        self, description: dict[str, Any], inputs: int, hidden: int, network: dict[str, bool], spread: float
    ) -> None:
        super().__init__()
        self.terms = [_terms(description, node, None) for node in range(1, 1 + description["nodes"])]
        self.output: list[int] = list(description["output"])
        self.how: str = description["output_combine"]
        self.enter = matrix(inputs + hidden, 2 * hidden, spread)
        self.weights = nn.ParameterDict(
            {str(node): matrix(hidden, 2 * hidden, spread) for node, terms in enumerate(self.terms, start=1) if terms}
        )
        self.gates = nn.Parameter(torch.ones(len(self.output))) if self.how == "learned" else None
        self.norms = _norms(1 + len(self.terms), hidden, bool(network.get("node_norm", False)))

    def forward(self, x: Tensor, hidden: Tensor, x_mask: Tensor | None = None, h_mask: Tensor | None = None) -> Tensor:
        """Return h_t [N, H].

        Args:
            x: x_t, [N, inputs].
            hidden: h_{t-1}, [N, H].
            x_mask: dropout of the input.
            h_mask: dropout of every state before its matrix.
        """
        entering = torch.cat([masked(x, x_mask), masked(hidden, h_mask)], dim=-1)
        states = [self.norms[0](merged_input(hidden, entering @ self.enter))]
        for node, terms in enumerate(self.terms, start=1):
            total = torch.zeros_like(hidden)
            projected: dict[int, Tensor] = {}
            for source, name, weight in terms:
                if source not in projected:
                    projected[source] = masked(states[source], h_mask) @ self.weights[str(node)]
                total = total + weight * highway(states[source], projected[source], ACTIVATIONS[name])
            total = average(total, sum(weight for _, _, weight in terms))
            states.append(self.norms[node](total))
        return bounded(joined([states[index] for index in self.output], self.how, self.gates))


class TwoInputCell(nn.Module):
    """A derived cell of ``two-input-rnn``: nodes 0 and 1 are x_t W_x and h_{t-1} W_h, the others join two operands.

    Operand a of node i is the average over its edges (j, f) of f(s_j W_i^a), b likewise; s_i is a + b or their
    Hadamard product.

    Args:
        description: the cell as in architecture.json, with operands on its edges and ``combine``.
        inputs: features of x_t.
        hidden: units H of every node.
        network: the flag ``node_norm``.
        spread: weights start uniform in +- this.
    """

    def __init__(
        self, description: dict[str, Any], inputs: int, hidden: int, network: dict[str, bool], spread: float
    ) -> None:
        super().__init__()
        computed = range(2, 2 + description["nodes"])
        self.terms = [[_terms(description, node, operand) for operand in ("a", "b")] for node in computed]
        self.combine: list[str] = list(description["combine"])
        self.output: list[int] = list(description["output"])
        self.how: str = description["output_combine"]
        self.enter_x = matrix(inputs, hidden, spread)
        self.enter_h = matrix(hidden, hidden, spread)
        self.weights = nn.ParameterDict(
            {
                f"{node}{operand}": matrix(hidden, hidden, spread)
                for node, both in zip(computed, self.terms, strict=True)
                for operand, terms in zip("ab", both, strict=True)
                if terms
            }
        )
        self.gates = nn.Parameter(torch.ones(len(self.output))) if self.how == "learned" else None
        self.norms = _norms(len(self.terms), hidden, bool(network.get("node_norm", False)))

    def forward(self, x: Tensor, hidden: Tensor, x_mask: Tensor | None = None, h_mask: Tensor | None = None) -> Tensor:
        """Return h_t [N, H].

        Args:
            x: x_t, [N, inputs].
            hidden: h_{t-1}, [N, H].
            x_mask: dropout of the input.
            h_mask: dropout of every state before its matrix.
        """
        states = [masked(x, x_mask) @ self.enter_x, masked(hidden, h_mask) @ self.enter_h]
        for node, (both, how, norm) in enumerate(zip(self.terms, self.combine, self.norms, strict=True), start=2):
            operands = []
            for operand, terms in zip("ab", both, strict=True):
                total = torch.zeros_like(hidden)
                for source, name, weight in terms:
                    projected = masked(states[source], h_mask) @ self.weights[f"{node}{operand}"]
                    total = total + weight * ACTIVATIONS[name](projected)
                operands.append(average(total, sum(weight for _, _, weight in terms)))
            states.append(norm(bounded(combined(operands[0], operands[1], how))))
        return bounded(joined([states[index] for index in self.output], self.how, self.gates))


class Recurrence(nn.Module):
    """A derived recurrent cell run over time.

    Args:
        blueprint: plain data with ``inputs`` (features of x_t), ``hidden`` (units), ``cell`` (as in architecture.json),
            ``network`` and, optionally, ``spread`` (weights start uniform in +- this; 1/sqrt(hidden) if it is missing
            or None), ``dropout_input`` and ``dropout_hidden`` (variational dropout).
    """

    def __init__(self, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.hidden: int = blueprint["hidden"]
        self.dropout_input = float(blueprint.get("dropout_input") or 0.0)
        self.dropout_hidden = float(blueprint.get("dropout_hidden") or 0.0)
        spread = float(blueprint.get("spread") or self.hidden**-0.5)
        kind = HighwayCell if blueprint["cell"].get("combine") is None else TwoInputCell
        self.cell = kind(blueprint["cell"], blueprint["inputs"], self.hidden, blueprint["network"], spread)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the cell over a sequence.

        Args:
            x: [T, N, inputs].
            hidden: h_0, [N, H]; zeros when None.

        Returns:
            The states of all steps [T, N, H], and the last one [N, H].
        """
        state = x.new_zeros(x.shape[1], self.hidden) if hidden is None else hidden
        x_mask = variational_mask(x, x.shape[2], self.dropout_input if self.training else 0.0)
        h_mask = variational_mask(x, self.hidden, self.dropout_hidden if self.training else 0.0)
        norms = [norm for norm in self.cell.norms if isinstance(norm, SequenceNorm)]
        for norm in norms:
            norm.begin()
        outputs = []
        for step in x.unbind(0):
            state = self.cell(step, state, x_mask, h_mask)
            outputs.append(state)
        for norm in norms:
            norm.finish()
        return torch.stack(outputs), state
