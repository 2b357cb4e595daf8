"""The last decision of a search: with which cells it ends, where that takes the supernet and held-out batches.

While a search goes on, every derivation is a quick rule on the expected mixing. One that can do better once the
weights are learned has :meth:`Selects.select` besides; it is asked once, when the search is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, runtime_checkable

import torch

from archgrad.choices import Mixing, Support
from archgrad.engine.derivations.argmax import ArgmaxPerEdge
from archgrad.engine.derivations.derive import TopEdges, expected_mixings, project
from archgrad.engine.derivations.reach import with_inputs_read
from archgrad.engine.evaluate import evaluate_mixings, reestimated_statistics
from archgrad.engine.mixings import transit_mixings
from archgrad.engine.state import Batch, SearchState
from archgrad.space.cells import CellSpace

__all__ = [
    "Selects",
    "child_loss",
    "decided",
    "final_expected",
    "held_out",
    "random_cells",
    "reestimated_loss",
    "standard_rule",
]


@runtime_checkable
class Selects(Protocol):
    """A derivation that decides with the supernet and held-out batches when the search is over."""

    def select(self, state: SearchState) -> dict[str, Support]:
        """Return the support of every cell kind.

        Args:
            state: of a search that is over; only the supernet's weights may be changed.
        """
        ...


def decided(state: SearchState) -> dict[str, Support]:
    """Return the support of every cell kind with which a search ends."""
    derivation = state.parts.derivation
    expected, space = final_expected(state), state.parts.space
    if isinstance(derivation, Selects):
        return with_inputs_read(derivation.select(state), expected, space)
    return project(expected, derivation, space)


def final_expected(state: SearchState) -> dict[str, Mixing]:
    """Return the expected mixing of every cell kind at the end of what was searched, constant."""
    with torch.no_grad():
        return expected_mixings(state.choices, state.parts.relaxation, state.progress_after(state.epoch))


def standard_rule(k: int, mixing: Mixing, cell: CellSpace) -> Support:
    """Return what stays of a mixing: one operation on every edge where a space asks for it, else DARTS' top k edges.

    Args:
        k: edges kept per node.
        mixing: an expected mixing.
        cell: the graph and the names of the candidates.
    """
    return ArgmaxPerEdge()(mixing, cell) if cell.single else TopEdges(k)(mixing, cell)


def held_out(state: SearchState, batches: int | None) -> list[Batch]:
    """Return the batches that a selection judges by: of the choices' part, or of validation where they have none.

    Args:
        state: of the search.
        batches: so many at most; all when None.
    """
    part = "choices" if state.parts.schedule.choice_share > 0 else "validation"
    return list(islice(state.parts.data.once(part), batches))


def child_loss(
    state: SearchState, supports: Mapping[str, Support], judged_by: Sequence[Batch], statistics: int
) -> float:
    """Return the loss of a child with inherited weights, its batch-norm statistics estimated again.

    Args:
        state: of the search.
        supports: what the child runs, by cell kind.
        judged_by: the batches.
        statistics: training batches that the statistics come from; the same in all processes.
    """
    return reestimated_loss(state, transit_mixings(final_expected(state), supports), judged_by, statistics)


def reestimated_loss(
    state: SearchState, mixings: Mapping[str, Mixing], judged_by: Sequence[Batch], statistics: int
) -> float:
    """Return the supernet's loss with its batch-norm statistics estimated again for these mixings.

    Args:
        state: of the search.
        mixings: what runs, by cell kind.
        judged_by: the batches.
        statistics: training batches that the statistics come from; the same in all processes.
    """
    with reestimated_statistics(state.supernet, mixings, islice(state.parts.data.once("weights"), statistics)):
        return evaluate_mixings(state, mixings, judged_by)["loss"]


def random_cells(state: SearchState, k: int, generator: torch.Generator) -> Iterator[dict[str, Support]]:
    """Draw children of what is alive, for ever: of every node k edges, or all where a space asks for it, any operation.

    Args:
        state: of the search.
        k: edges kept per node.
        generator: of the draw.
    """
    expected, space = final_expected(state), state.parts.space
    while True:
        drawn, random = {}, {}
        for kind, mixing in expected.items():
            weights = torch.rand(mixing.weights.shape, generator=generator) * torch.tensor(mixing.support)
            random[kind] = Mixing(weights, mixing.support)
            drawn[kind] = standard_rule(1 if kind in space.combiners else k, random[kind], space.cells[kind])
        yield with_inputs_read(drawn, random, space)
