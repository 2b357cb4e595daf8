"""From the recurrent supernet to a derived cell that computes the same: the kept slices and statistics are copied."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import nn

from archgrad.architecture import Architecture
from archgrad.architecture import Cell as FixedCell
from archgrad.errors import InputError
from archgrad.network.recurrent import SequenceNorm
from archgrad.network.recurrent_build import recurrence_blueprint
from archgrad.network.recurrent_cells import Recurrence
from archgrad.supernet.recurrent import RecurrentSupernet

__all__ = ["as_in_recurrent_supernet", "inherit_recurrence"]


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
    return network


def _keys(supernet: RecurrentSupernet) -> list[str]:
    """Return what the derived cell calls each slice of the stack: the node, and its operand where it has some."""
    cell = supernet.space.cells[supernet.kind]
    return [f"{node}{operand}" for node in cell.output for operand in cell.operands or ("",)]


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
