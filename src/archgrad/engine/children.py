"""Does the child keep what the search reached? The supernet, the child it would become, and random children of it.

All with inherited weights, no retraining, and the same estimation of batch-norm statistics on training batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from archgrad.choices import Mixing
from archgrad.choices.mixing import support_of
from archgrad.engine.derivations.derive import expected_mixings, project
from archgrad.engine.evaluate import (
    DRAWS,
    STATISTICS_BATCHES,
    child_metrics,
    child_mixings,
    evaluate_mixings,
    reestimated_statistics,
)
from archgrad.engine.mixings import draw_noise, layer_mixings, transit_mixings
from archgrad.engine.state import SearchState
from archgrad.space.cells import CellSpace
from archgrad.supernet.image import Mixings

__all__ = ["children", "random_child", "shuffled"]


def shuffled(mixing: Mixing, alive: Tensor, cell: CellSpace, generator: torch.Generator) -> Mixing:
    """Return a mixing in which the weights into every node were dealt out anew among all that could run there.

    What a rule derives from it is a random child with as much in it as the rule keeps of the mixing itself. Candidates
    that a threshold has cut off (EnTranNAS-DST) weigh 0 and take part; those that are gone for good do not.

    Args:
        mixing: an expected mixing, [rows, candidates].
        alive: bool [rows, candidates], what has not been removed for good.
        cell: says which rows lead into the same node.
        generator: of the deal.
    """
    weights, alive = mixing.weights.detach().cpu().clone(), alive.cpu()
    runs = torch.tensor(mixing.support)
    for target in dict.fromkeys(cell.groups):
        into = torch.tensor([group == target for group in cell.groups])[:, None] & alive
        order = torch.randperm(int(into.sum()), generator=generator)
        weights[into], runs[into] = weights[into][order], runs[into][order]
    return Mixing(weights, support_of(runs))


def random_child(expected: Mapping[str, Mixing], state: SearchState, generator: torch.Generator) -> dict[str, Mixing]:
    """Return the mixings of a random child: the derivation of shuffled weights, run with weights 1."""
    parts = state.parts
    alive = {kind: table.alive for kind, table in state.choices.items()}
    dealt = {
        kind: shuffled(mixing, alive[kind], parts.space.cells[kind], generator) for kind, mixing in expected.items()
    }
    return transit_mixings(expected, project(dealt, parts.derivation, parts.space))


def children(state: SearchState, count: int, part: str = "validation") -> dict[str, Any]:
    """Return the metrics of the supernet, of its derived child and of random children.

    Args:
        state: a finished search.
        count: random children.
        part: of the data, on which all are judged.

    Returns:
        ``supernet`` (the mean of eight draws where mixings are sampled), ``derived``, ``derived_weighted`` (expected
        weights kept) and ``random``, a list; each with the task's metrics by name.
    """
    progress = state.progress_after(state.epoch)
    expected = expected_mixings(state.choices, state.parts.relaxation, progress)
    generator = torch.Generator().manual_seed(state.parts.seed + 104_729)
    return {
        "supernet": _supernet(state, generator, part),
        "derived": child_metrics(state, child_mixings(state, progress), part),
        "derived_weighted": child_metrics(state, child_mixings(state, progress, weighted=True), part),
        "random": [child_metrics(state, random_child(expected, state, generator), part) for _ in range(count)],
    }


def _supernet(state: SearchState, generator: torch.Generator, part: str) -> dict[str, float]:
    """Return the mean metrics over draws, with statistics that were estimated again, a new draw for every batch."""
    parts, progress = state.parts, state.progress_after(state.epoch)
    expected = expected_mixings(state.choices, parts.relaxation, progress)
    derived = transit_mixings(expected, project(expected, parts.derivation, parts.space))

    def drawn() -> Mixings:
        noise = draw_noise(state.choices, parts.relaxation, state.seats, generator)
        with torch.no_grad():
            return layer_mixings(state.choices, parts.relaxation, progress, noise, state.seats, derived)

    batches = islice(parts.data.stream("weights"), STATISTICS_BATCHES)
    with reestimated_statistics(state.supernet, drawn, batches):
        found = [evaluate_mixings(state, drawn(), parts.data.once(part)) for _ in range(DRAWS)]
    return {name: sum(metrics[name] for metrics in found) / len(found) for name in found[0]}
