"""What a method adds to a mixture of operations: a weight for every edge, and a skip connection beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing
from archgrad.choices.progress import Progress
from archgrad.choices.table import ChoiceTable

__all__ = ["EDGES", "edge_extras", "edge_weights", "skip_strength", "with_edges", "with_skip"]

EDGES = "edges"
"""Name of the edges' parameters among a table's extras: one number per row."""


def edge_weights(beta: Tensor, groups: Sequence[int], alive: Tensor) -> Tensor:
    """Return exp(beta_ij) / sum_{i'<j} exp(beta_i'j) over the living edges into every node (PC-DARTS, equation 3).

    Args:
        beta: [rows].
        groups: for every row the node that it leads to.
        alive: bool [rows]; the others get 0.
    """
    places = torch.tensor(groups, device=beta.device)
    same = places[:, None] == places[None, :]
    among = beta[None, :].expand(len(beta), -1).masked_fill(~(same & alive[None, :]), -torch.inf)
    found = torch.softmax(among.masked_fill(~alive[:, None], 0.0), dim=1).diagonal()
    return found.masked_fill(~alive, 0.0)


def edge_extras(groups: Sequence[int]) -> dict[str, Tensor]:
    """Return beta of every edge, 0 at first: all edges into a node weigh the same (a reconstruction)."""
    return {EDGES: torch.zeros(len(groups))}


def with_edges(mixing: Mixing, table: ChoiceTable) -> Mixing:
    """Return the mixing with every edge's weights multiplied by the edge's own, which into a node sum to 1.

    Args:
        mixing: of the operations of every edge.
        table: its extras hold beta; where they do not, all edges into a node weigh the same.
    """
    beta = table.extras[EDGES] if EDGES in table.extras else mixing.weights.new_zeros(len(table.groups))
    factors = edge_weights(beta, table.groups, table.alive.any(dim=1))
    return replace(mixing, weights=mixing.weights * factors[:, None])


def skip_strength(start: float, progress: Progress) -> float:
    """Return beta(t) = beta_0 (1 - t / T): the coefficient of DARTS-'s auxiliary skip, linear to 0 (arXiv 2009.01027).

    Args:
        start: beta_0.
        progress: how far the search has come.
    """
    return start * max(0.0, 1.0 - progress.elapsed)


def with_skip(mixing: Mixing, table: ChoiceTable, start: float, progress: Progress) -> Mixing:
    """Return the mixing with an auxiliary skip of strength beta(t) on every living edge; none once that is 0.

    Args:
        mixing: of the operations.
        table: says which edges live.
        start: beta_0.
        progress: how far the search has come.
    """
    strength = skip_strength(start, progress)
    if strength == 0.0:
        return mixing
    return replace(mixing, auxiliary=strength * table.alive.any(dim=1).to(mixing.weights))
