"""From the recurrent supernet to a derived cell that computes the same: the kept slices and statistics are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from archgrad.architecture import Architecture
from archgrad.architecture import Cell as FixedCell
from archgrad.errors import InputError
from archgrad.network.heads import ForecastNetwork
from archgrad.network.recurrent import SequenceNorm
from archgrad.network.recurrent_build import recurrence_blueprint
from archgrad.network.recurrent_cells import Recurrence
from archgrad.network.recurrent_training import trains_fast
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.supernet.recurrent.supernet import RecurrentSupernet

__all__ = ["as_in_recurrent_supernet", "inherit_forecaster", "inherit_recurrence"]


def as_in_recurrent_supernet(architecture: Architecture, supernet: RecurrentSupernet) -> Architecture:
    """Return the architecture with ``node_norm`` as the supernet has it."""
    node_norm = any(isinstance(norm, SequenceNorm) for norm in supernet.cell.norms)
    return replace(architecture, network={**architecture.network, "node_norm": node_norm})


def inherit_recurrence(supernet: RecurrentSupernet, architecture: Architecture) -> Recurrence:
    """Build the derived recurrence with the supernet's weights and batch-norm statistics.

    In eval mode it equals ``supernet(x, mixings)`` where the mixings hold the architecture's edges as support and the
    architecture's edge weights (1 where it has none) as weights, and one combiner a node with weight 1.

    Args:
        supernet: where everything is copied from; it gives the sizes too.
        architecture: a cell of the supernet's space.

    Returns:
        The recurrence, on the supernet's device, in training mode.

    Raises:
        InputError: the architecture has a cell, nodes or activations that the supernet lacks.
    """
    _check(supernet, architecture)
    blueprint = recurrence_blueprint(
        as_in_recurrent_supernet(architecture, supernet),
        inputs=supernet.inputs,
        hidden=supernet.hidden,
        dropout_input=supernet.dropout_input,
        dropout_hidden=supernet.dropout_hidden,
    )
    source = supernet.cell
    network = Recurrence(blueprint).to(source.weight)
    target = network.cell
    slices = {key: index for index, key in enumerate(_keys(supernet))}
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            own, _, key = name.partition(".")
            if own == "weights":
                parameter.copy_(source.weight[slices[key]])
            else:  # the matrices of the inputs, and the gates of a learned output
                parameter.copy_(cast(nn.Parameter, getattr(source, own)))
    target.norms.load_state_dict(source.norms.state_dict())
    return trains_fast(network)


def inherit_forecaster(
    supernet: ForecastSupernet,
    architecture: Architecture,
    *,
    window: int | None = None,
    series: Sequence[str] | None = None,
    dropout_input: float = 0.0,
    dropout_hidden: float = 0.0,
) -> ForecastNetwork:
    """Build the derived forecaster with the supernet's weights, statistics and scaling.

    It equals the supernet in eval mode as :func:`inherit_recurrence` says.

    Args:
        supernet: where everything is copied from.
        architecture: a cell of the supernet's space.
        window: rows that it will be trained on.
        series: names of the series.
        dropout_input: variational dropout of x_t in the training that follows.
        dropout_hidden: variational dropout of every state before its matrix.

    Raises:
        InputError: the architecture has a cell, nodes or activations that the supernet lacks.
    """
    core, ends = inherit_recurrence(supernet.core, architecture), supernet.ends
    recurrence = {**core.blueprint, "dropout_input": dropout_input, "dropout_hidden": dropout_hidden}
    network = ForecastNetwork(
        {
            "kind": "forecast",
            "recurrence": recurrence,
            "window": window,
            "series": None if series is None else list(series),
            "horizon": ends.horizon,
            "targets": ends.targets.tolist(),
            "mean": ends.mean.tolist(),
            "std": ends.std.tolist(),
            "anchor": ends.anchor,
        }
    ).to(ends.mean.device)
    network.core.load_state_dict(core.state_dict())
    network.ends.load_state_dict(ends.state_dict())
    return trains_fast(network)


def _keys(supernet: RecurrentSupernet) -> list[str]:
    """Return what the derived cell calls each slice of the stack: the node, and its operand where it has some."""
    cell = supernet.space.cells[supernet.kind]
    return [f"{node}{operand}" for node in cell.computed for operand in cell.operands or ("",)]


def _check(supernet: RecurrentSupernet, architecture: Architecture) -> None:
    """Refuse an architecture that is not part of the supernet, saying why."""
    kind, cell = supernet.kind, supernet.space.cells[supernet.kind]
    if kind not in architecture.cells:
        raise InputError(f"The architecture has no cell '{kind}', which the supernet has.")
    fixed: FixedCell = architecture.cells[kind]
    if (fixed.inputs, fixed.nodes, fixed.combine is None) != (cell.inputs, cell.nodes, not cell.operands):
        raise InputError(
            f"The {kind} cell has {fixed.inputs} inputs and {fixed.nodes} nodes, the supernet's has {cell.inputs} and "
            f"{cell.nodes}: this architecture was not derived from it."
        )
    foreign = sorted({edge.operation for edge in fixed.edges} - {*cell.operations, "none"})
    if foreign:
        raise InputError(
            f"The {kind} cell has activations that are no candidates of the supernet: {', '.join(foreign)}. "
            f"Its candidates: {', '.join(cell.operations)}."
        )
