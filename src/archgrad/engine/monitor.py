"""What to watch in every search: how decided the choices are, how often they learn, whether they collapse to skips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from archgrad.architecture import Architecture
from archgrad.choices import Mixing, Support
from archgrad.engine.penalties.proximity import distance

__all__ = [
    "choice_steps",
    "collapse_warning",
    "collapsed",
    "entropy",
    "living",
    "monitor",
    "operation_counts",
    "parameter_free_share",
    "stable_since",
]

PARAMETER_FREE = ("none", "skip_connect", "max_pool_3x3", "avg_pool_3x3")


def monitor(
    architecture: Architecture,
    expected: Mapping[str, Mixing],
    projections: Mapping[str, Support],
    history: Sequence[Mapping[str, Any]],
    taken: int,
    updates: int,
) -> dict[str, Any]:
    """Return what is watched of an epoch as plain data, a value by cell kind where cells differ.

    Args:
        architecture: what would be derived now.
        expected: the deterministic mixing of every cell kind.
        projections: what the derivation rule keeps of it.
        history: the epochs before this one, as the search keeps them.
        taken: choice steps so far.
        updates: updates so far.

    Returns:
        ``entropy``, ``distance`` (of the mixing from its projection, Frobenius norm), ``living`` (candidates that still
        run), ``skip_share`` and ``parameter_free_share`` (of the derived edges), ``choice_steps`` (taken and skipped),
        ``stable_since`` and ``warning`` (None, or plain words).
    """
    with torch.no_grad():
        distances = {kind: float(distance(mixing, projections[kind])) for kind, mixing in expected.items()}
    return {
        "entropy": {kind: entropy(mixing) for kind, mixing in expected.items()},
        "distance": distances,
        "living": {kind: living(mixing) for kind, mixing in expected.items()},
        "skip_share": {kind: parameter_free_share(architecture, kind, "skip_connect") for kind in architecture.cells},
        "parameter_free_share": {kind: parameter_free_share(architecture, kind) for kind in architecture.cells},
        "choice_steps": {"taken": taken, "skipped": updates - taken},
        "stable_since": stable_since(architecture, history),
        "warning": collapse_warning(architecture, expected),
    }


def collapsed(record: Mapping[str, Any]) -> bool:
    """Say whether what :func:`monitor` returned tells of a collapse, on which ``early_stop=collapse`` acts."""
    return record["warning"] is not None


def choice_steps(optimizer: torch.optim.Optimizer) -> int:
    """Return how often the choices were updated, as their own optimiser counted, whatever the schedule."""
    return max((int(state["step"]) for state in optimizer.state.values() if "step" in state), default=0)


def stable_since(architecture: Architecture, history: Sequence[Mapping[str, Any]]) -> int:
    """Return the first epoch, counted from 1, after which the derived cells were what they are now.

    Args:
        architecture: what would be derived now, one epoch after the last of the history.
        history: ``epoch`` and ``architecture`` (as plain data) of the epochs before.
    """
    cells, since = architecture.to_dict()["cells"], len(history) + 1
    for entry in reversed(history):
        if entry["architecture"]["cells"] != cells:
            break
        since = entry["epoch"]
    return since


def living(mixing: Mixing) -> int:
    """Return how many candidates run, over all edges."""
    return sum(entry for row in mixing.support for entry in row)


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
