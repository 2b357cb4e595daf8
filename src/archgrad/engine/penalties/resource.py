"""SNAS' resource constraint: what the cells cost is a term of the loss, edge by edge (arXiv 1812.09926)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from archgrad.choices import Mixing
from archgrad.engine.credit import log_density_of
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.errors import InputError, unknown
from archgrad.network.costs import Sides, edge_place, layer_sides, operation_cost, stem_sides
from archgrad.network.latency import LatencyTable
from archgrad.space.skeleton import Layer

__all__ = ["LINEAR", "STRENGTHS", "Resource", "edge_cost", "mean_cost", "score_surrogate"]

Kind = Literal["paper", "parameters", "flops", "memory_access", "latency"]
Estimator = Literal["sample", "expectation", "policy_gradient"]
Scale = Literal["log", "linear"]

COUNTED = ("parameters", "flops", "memory_access")

LINEAR: Mapping[str, float] = {
    "parameters": 0.43 * 2,
    "flops": 0.43 / 4000,
    "memory_access": 0.43 / 100,
    "milliseconds": 1.0,
}
"""What one unit of each resource counts in the linear penalty (SNAS' public code; a millisecond counts 1)."""

LOGARITHMIC: Mapping[str, float] = {"milliseconds": 1000.0}
"""What each resource is multiplied by before its logarithm: latencies count in microseconds."""

STRENGTHS: Mapping[tuple[Scale, Estimator], float] = {
    ("log", "sample"): 1e-2,
    ("log", "expectation"): 1e-2,
    ("log", "policy_gradient"): 1e-4,
    ("linear", "sample"): 1e-5,
    ("linear", "expectation"): 1e-4,
    ("linear", "policy_gradient"): 1e-5,
}
"""eta where none is given: the defaults of SNAS' public code."""


def edge_cost(weights: Tensor, costs: Tensor, factors: Tensor, scale: Scale) -> Tensor:
    """Return what every edge adds to the penalty, differentiable in the weights.

    With C_r = sum_k Z_k c_rk the cost of the edge in resource r: the mean over the resources of log max(f_r C_r, 1)
    ("log"), or sum_r f_r C_r ("linear").

    Args:
        weights: Z, [rows, candidates].
        costs: c, [resources, rows, candidates].
        factors: f, [resources].
        scale: "log" or "linear".

    Returns:
        [rows].
    """
    edges = factors[:, None] * (costs * weights).sum(dim=2)
    return edges.clamp_min(1.0).log().mean(dim=0) if scale == "log" else edges.sum(dim=0)


def score_surrogate(cost: Tensor, log_density: Tensor) -> Tensor:
    """Return a tensor of the value c whose gradient is c d log p(Z), the score-function estimator of d E[c].

    Args:
        cost: c of every edge, [rows]; taken as constant.
        log_density: log p(Z) of every edge, [rows], differentiable in the choices.
    """
    return cost.detach() * (1.0 + log_density - log_density.detach())


def mean_cost(costs: Sequence[Tensor], layers: Sequence[Layer], ratio: float) -> Tensor:
    """Return the mean over the normal cells plus ``ratio`` times the mean over the reduction cells.

    Args:
        costs: one scalar per layer.
        layers: which of them reduce.
        ratio: weight of the reduction cells.
    """
    normal = [cost for cost, layer in zip(costs, layers, strict=True) if not layer.reduction]
    reduction = [cost for cost, layer in zip(costs, layers, strict=True) if layer.reduction]
    total = torch.zeros_like(costs[0])
    if normal:
        total = total + torch.stack(normal).mean()
    return total + ratio * torch.stack(reduction).mean() if reduction else total


@dataclass(frozen=True)
class Resource(Penalty):
    """eta E[C(Z)]: the cost of the cells, which decomposes over edges and candidates.

    Costs are those of the supernet's own layers, at their channels and sides; the operations' formulas stand beside
    them in :mod:`archgrad.network.modules`. A latency is the operation's and that of adding its result to the node's
    sum, measured on the device of the search when first needed.

    Args:
        kind: "paper" (as published: parameters, FLOPs and memory access together), one of "parameters", "flops",
            "memory_access", or "latency".
        estimator: "sample": the cost of the sample, differentiated through it (SNAS' "reparametrization");
            "expectation": the cost of the expected mixing, without sampling noise (SNAS' "discrete");
            "policy_gradient": every edge's cost times the gradient of the log density of its sample.
        scale: "log": mean of the logarithms of the resources, of every edge; "linear": their weighted sum.
        strength: eta; None takes the published default of estimator and scale.
        ratio: weight of the reduction cells' mean beside the normal cells' (SNAS' public code: 1).
        batch: images in the forward whose latency counts (the batch of DARTS' and SNAS' searches: 64).

    Raises:
        InputError: an unknown kind, estimator or scale, a number out of range, or a linear latency without strength.
    """

    kind: Kind = "paper"
    estimator: Estimator = "sample"
    scale: Scale = "log"
    strength: float | None = None
    ratio: float = 1.0
    batch: int = 64
    _measured: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tables: dict[Any, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _expected: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, allowed in (("kind", Kind), ("estimator", Estimator), ("scale", Scale)):
            if getattr(self, name) not in get_args(allowed):
                raise unknown(name, getattr(self, name), get_args(allowed), "the penalty 'resource'")
        for name in ("strength", "ratio"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InputError(f"{name} is {value}; it must not be negative.")
        if self.batch < 1:
            raise InputError(f"batch is {self.batch}; it must be at least 1.")
        if self.kind == "latency" and self.scale == "linear" and self.strength is None:
            raise InputError(
                "A latency on the linear scale needs a strength: how much loss a millisecond of a mean cell is worth. "
                "No default would fit every device; scale=log has one."
            )

    @property
    def on(self) -> Literal["choices", "both"]:
        """It acts in joint steps and in the choices' own; weights have no part in it."""
        return "both"

    @property
    def resources(self) -> tuple[str, ...]:
        """The units that are counted."""
        return {"paper": COUNTED, "latency": ("milliseconds",)}.get(self.kind, (self.kind,))

    def __call__(self, view: View) -> Tensor:
        """Return eta times the cost.

        Raises:
            InputError: the policy gradient of a relaxation that draws no samples, or no supernet for images.
        """
        if len(view.input_shape) != 3:
            raise InputError("The penalty 'resource' counts the operations of networks for images; leave it out here.")
        _, nearer = stem_sides(view.stem, (view.input_shape[1], view.input_shape[2]))
        sides = layer_sides(view.layers, nearer)
        densities: dict[int, Tensor] = {}
        terms, expected = [], []
        for layer, inside, mixings in zip(view.layers, sides, view.mixings, strict=True):
            mixing = (view.expected if self.estimator == "expectation" else mixings)[layer.cell]
            costs = self._costs(view, layer, inside, mixing.weights)
            factors = self._factors(mixing.weights)
            edges = edge_cost(mixing.weights, costs, factors, self.scale)
            # a Transit-cell's mixing is no sample: its cost is a constant
            if self.estimator == "policy_gradient" and mixing.weights.requires_grad:
                if id(mixing) not in densities:
                    densities[id(mixing)] = self._log_density(view, layer.cell, mixing)
                edges = score_surrogate(edges, densities[id(mixing)])
            terms.append(edges.sum())
            expected.append((view.expected[layer.cell].weights.detach(), costs))
        self._expected[:] = expected
        return self.eta * mean_cost(terms, view.layers, self.ratio)

    @property
    def eta(self) -> float:
        """The strength that is used."""
        return STRENGTHS[self.scale, self.estimator] if self.strength is None else self.strength

    def report(self) -> dict[str, float]:
        """Return the cost of the expected mixing, summed over all layers: of one image, milliseconds of one batch."""
        if not self._expected:
            return {}
        totals = torch.stack([(costs * weights).sum(dim=(1, 2)) for weights, costs in self._expected]).sum(dim=0)
        return dict(zip(self.resources, totals.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured, so that a resumed search counts the same milliseconds."""
        return {"milliseconds": dict(self._measured)} if self.kind == "latency" else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up measurements."""
        self._measured.clear()
        self._measured.update(state.get("milliseconds", {}))
        self._tables.clear()

    def _factors(self, like: Tensor) -> Tensor:
        units = LINEAR if self.scale == "linear" else LOGARITHMIC
        return torch.tensor([units.get(resource, 1.0) for resource in self.resources], dtype=like.dtype).to(like.device)

    def _log_density(self, view: View, kind: str, mixing: Mixing) -> Tensor:
        table = dict(view.choices.items())[kind]
        return log_density_of(view.relaxation).log_density(table, mixing.weights.detach(), view.progress)

    def _costs(self, view: View, layer: Layer, sides: Sides, like: Tensor) -> Tensor:
        """Return c of a layer, [resources, rows, candidates], computed once."""
        cell = view.space.cells[layer.cell]
        norm = bool(view.space.network.get("pool_norm", False))
        key = (cell, layer, sides, norm, like.dtype, like.device)
        if key not in self._tables:
            cost_of = self._latency_of(like.device, norm) if self.kind == "latency" else self._counts_of
            rows = [
                [
                    cost_of(name, layer.channels, *edge_place(layer, sides, source < cell.inputs))
                    for name in cell.operations
                ]
                for source, _ in cell.edges
            ]
            self._tables[key] = torch.tensor(rows, dtype=like.dtype).permute(2, 0, 1).contiguous().to(like.device)
        return self._tables[key]

    def _counts_of(self, name: str, channels: int, stride: int, sides: Sides) -> list[float]:
        cost = operation_cost(name, channels, stride, sides)
        return [float(getattr(cost, unit)) for unit in self.resources]

    def _latency_of(self, device: torch.device, norm: bool) -> Callable[[str, int, int, Sides], list[float]]:
        table = LatencyTable(device, self.batch, pool_norm=norm, known=self._measured)

        def measured(name: str, channels: int, stride: int, sides: Sides) -> list[float]:
            milliseconds = table.edge(name, channels, stride, sides)
            self._measured.update(table.used)
            return [milliseconds]

        return measured
