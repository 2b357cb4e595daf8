"""What to watch in every search: how decided the choices are, and whether they are collapsing to skips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch

from archgrad.architecture import Architecture
from archgrad.choices import Mixing

__all__ = ["collapse_warning", "entropy", "operation_counts", "parameter_free_share"]

PARAMETER_FREE = ("none", "skip_connect", "max_pool_3x3", "avg_pool_3x3")


def entropy(mixing: Mixing) -> float:
    """Return the mean entropy of the rows in units of ln K: 1 is undecided, 0 is decided."""
    weights = mixing.weights.detach().double().clamp_min(0)
    p = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    rows = -(p * p.clamp_min(1e-12).log()).sum(dim=1)
    return float(rows.mean() / torch.tensor(float(max(2, p.shape[1]))).log())


def operation_counts(architecture: Architecture) -> Counter[str]:
    """Return how often each operation occurs in the cells."""
    return Counter(edge.operation for cell in architecture.cells.values() for edge in cell.edges)


def parameter_free_share(architecture: Architecture, kind: str, operation: str | None = None) -> float:
    """Return which share of a cell's edges is parameter-free, or is one operation."""
    edges = architecture.cells[kind].edges
    wanted = (operation,) if operation else PARAMETER_FREE
    return sum(edge.operation in wanted for edge in edges) / len(edges) if edges else 0.0


def collapse_warning(architecture: Architecture, expected: Mapping[str, Mixing]) -> str | None:
    """Say in plain words that the search is collapsing, or return None.

    A cell counts as collapsed when more than half of its edges are skips, or all of them are parameter-free: the known
    failure of DARTS, in which edges without weights win because they are quick to help.
    """
    for kind in architecture.cells:
        if kind not in expected:
            continue
        skips = parameter_free_share(architecture, kind, "skip_connect")
        free = parameter_free_share(architecture, kind)
        if kind != "reduce" and (skips > 0.5 or free == 1.0):
            what = f"{skips:.0%} of its edges are skip connections" if skips > 0.5 else "no edge has any weights"
            return (
                f"The {kind} cell is collapsing: {what}. Such cells train fast and end weak. "
                "Stop earlier (archgrad derive RUN --epoch N), or use a recipe that resists it."
            )
    return None
