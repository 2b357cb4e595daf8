"""Derived recurrent cells and their run over time, as plain torch modules built from plain data.

A cell is described as in architecture.json. Torch and the formulas alone are imported: a standalone export copies this
file behind ``recurrent.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.network.recurrent import (
    ACTIVATIONS,
    SequenceNorm,
    bounded,
    combined,
    highway,
    joined,
    masked,
    matrix,
    merged_input,
    variational_mask,
    weighted_average,
)

__all__ = ["HighwayCell", "Recurrence", "TwoInputCell", "step_by_step"]


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
            projected: dict[int, Tensor] = {}
            values = []
            for source, name, weight in terms:
                if source not in projected:
                    projected[source] = masked(states[source], h_mask) @ self.weights[str(node)]
                values.append((weight, highway(states[source], projected[source], ACTIVATIONS[name])))
            states.append(self.norms[node](weighted_average(values, hidden)))
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
                values = []
                for source, name, weight in terms:
                    projected = masked(states[source], h_mask) @ self.weights[f"{node}{operand}"]
                    values.append((weight, ACTIVATIONS[name](projected)))
                operands.append(weighted_average(values, hidden))
            states.append(norm(bounded(combined(operands[0], operands[1], how))))
        return bounded(joined([states[index] for index in self.output], self.how, self.gates))


class Recurrence(nn.Module):
    """A derived recurrent cell run over time.

    Args:
        blueprint: plain data with ``inputs`` (features of x_t), ``hidden`` (units), ``cell`` (as in architecture.json),
            ``network`` and, optionally, ``spread`` (weights start uniform in +- this; 1/sqrt(hidden) if it is missing
            or None), ``dropout_input`` and ``dropout_hidden`` (variational dropout).

    Attributes:
        over_time: runs the cell over the steps; :func:`step_by_step` unless somebody knows a faster way to the same.
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
        self.over_time: Callable[..., tuple[Tensor, Tensor]] = step_by_step

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
        found = self.over_time(self.cell, x, state, x_mask, h_mask)
        for norm in norms:
            norm.finish()
        return found


def step_by_step(
    cell: Callable[..., Tensor], x: Tensor, hidden: Tensor, x_mask: Tensor | None, h_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run a cell one time step after another.

    Args:
        cell: the cell, or what stands for it: (x_t, h_{t-1}, mask of x, mask of h) -> h_t.
        x: [T, N, inputs].
        hidden: h_0, [N, H].
        x_mask: dropout of the input.
        h_mask: dropout of every state before its matrix.

    Returns:
        The states of all steps [T, N, H], and the last one [N, H].
    """
    outputs = []
    for step in x.unbind(0):
        hidden = cell(step, hidden, x_mask, h_mask)
        outputs.append(hidden)
    return torch.stack(outputs), hidden
