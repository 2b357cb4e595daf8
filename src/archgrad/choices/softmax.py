"""The relaxation of DARTS: candidates of an edge share a softmax."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing, support_of
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.table import ChoiceTable, as_table

__all__ = ["Softmax", "softmax_weights"]


def softmax_weights(logits: Tensor, alive: Tensor) -> Tensor:
    """Return exp(alpha_k) / sum_l exp(alpha_l) over the living candidates of every edge (DARTS, equation 2).

    Args:
        logits: alpha, [rows, candidates].
        alive: bool [rows, candidates]; a row without any living candidate gets zeros.
    """
    weights = torch.softmax(logits.masked_fill(~alive, -torch.inf), dim=-1)
    return weights.masked_fill(~alive, 0.0)


@dataclass(frozen=True)
class Softmax(Relaxation):
    """Mixing weights by softmax over each edge's candidates, everything runs.

    Args:
        deviation: standard deviation of the initial logits, around 0 (DARTS: 1e-3).
    """

    deviation: float = 1e-3

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return normal logits [rows, candidates] around 0."""
        return self.deviation * torch.randn(rows, candidates, generator=generator)

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the softmax of the living candidates; support = what is alive."""
        table = as_table(table)
        return Mixing(softmax_weights(table.logits, table.alive), support_of(table.alive))
