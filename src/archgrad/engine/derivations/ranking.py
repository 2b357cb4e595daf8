"""The supernet as a judge of given cells: each as a child with inherited weights, no retraining."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archgrad.architecture import Architecture
from archgrad.choices import Mixing
from archgrad.engine.derivations.derive import expected_mixings
from archgrad.engine.evaluate import child_metrics
from archgrad.engine.mixings import transit_mixings
from archgrad.engine.state import SearchState
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace

__all__ = ["judge_cells", "support_of_cell"]


def support_of_cell(architecture: Architecture, kind: str, cell: CellSpace) -> tuple[tuple[bool, ...], ...]:
    """Return what of a cell space an architecture keeps, rows x candidates: the inverse of writing a support down.

    An edge that the architecture lacks keeps nothing, also where ``none`` is no candidate.

    Args:
        architecture: with plain sums.
        kind: of the cell.
        cell: its graph and candidates.

    Raises:
        InputError: the architecture has an edge or operation that the space lacks.
    """
    kept = {(edge.source, edge.target, edge.operand, edge.operation) for edge in architecture.cells[kind].edges}
    rows = [
        [(source, target, operand, name) for name in cell.operations]
        for (source, target), operand in zip(cell.edges, cell.row_operands, strict=True)
    ]
    foreign = sorted(str(edge) for edge in kept - {entry for row in rows for entry in row})
    if foreign:
        raise InputError(f"The {kind} cell has what its supernet lacks: {foreign[0]}.")
    return tuple(tuple(entry in kept for entry in row) for row in rows)


def judge_cells(
    state: SearchState,
    architectures: Sequence[Architecture],
    part: str = "validation",
    told: Callable[[int], None] | None = None,
) -> list[dict[str, float]]:
    """Return the metrics of every architecture with the supernet's weights, statistics estimated again for each.

    Args:
        state: a search; nothing in it changes.
        architectures: of its space.
        part: of the data, on which all are judged.
        told: called with how many are done.

    Raises:
        InputError: an architecture is not part of the supernet.
    """
    space = state.parts.space
    expected = expected_mixings(state.choices, state.parts.relaxation, state.progress_after(state.epoch))
    found = []
    for architecture in architectures:
        supports = {kind: support_of_cell(architecture, kind, space.cells[kind]) for kind in architecture.cells}
        mixings: dict[str, Mixing] = transit_mixings(expected, supports)
        found.append(child_metrics(state, mixings, part))
        if told:
            told(len(found))
    return found
