"""How a table of choices grows without a jump: it shows what it showed before, and more and more of what it is now.

A reconstruction of ours; arXiv 2106.07211 states in its abstract that cells grow by network morphism, not how their
choices do. A large logit for "nothing new" would be approximate; the ramp is exact for every relaxation.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing, Support
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.table import ChoiceTable

__all__ = ["expected_of", "mixing_of", "ramped", "risen"]


def ramped(before: Mixing, now: Mixing, gate: Tensor) -> Mixing:
    """Return the mixing with weights (1 - g) before + g now; what runs in either runs.

    At g = 0 it is what was, whatever the relaxation, and the gradient with respect to g is that of the difference.

    Args:
        before: of the table as it was, with zeros for what is new.
        now: of the whole table.
        gate: g in [0, 1], a scalar.
    """
    support: Support = tuple(
        tuple(one or other for one, other in zip(a, b, strict=True))
        for a, b in zip(before.support, now.support, strict=True)
    )

    def between(one: Tensor | None, other: Tensor | None) -> Tensor | None:
        return other if one is None or other is None else (1.0 - gate) * one + gate * other

    auxiliary = between(before.auxiliary, now.auxiliary)
    return Mixing((1.0 - gate) * before.weights + gate * now.weights, support, auxiliary)


def mixing_of(relaxation: Relaxation, table: ChoiceTable, progress: Progress, noise: Tensor | None = None) -> Mixing:
    """Return the mixing of a table, on a ramp or not; the same noise serves both of its ends.

    Args:
        relaxation: table -> mixing.
        table: the choices.
        progress: both clocks.
        noise: of this draw.
    """
    now = relaxation(table, progress, noise)
    if table.elder is None or table.gate is None:
        return now
    return ramped(relaxation(table.before(), progress, noise), now, table.gate)


def expected_of(relaxation: Relaxation, table: ChoiceTable, progress: Progress) -> Mixing:
    """Return the deterministic mixing that decisions read: on a ramp that of the table as it was before it grew."""
    return relaxation.expected(table if table.elder is None else table.before(), progress)


@torch.no_grad()
def risen(gates: Mapping[str, Tensor], floor: float) -> None:
    """Keep gates between a floor and 1: they learn, and at the latest when the floor has risen to 1 they are open."""
    for gate in gates.values():
        gate.clamp_(min=floor, max=1.0)
