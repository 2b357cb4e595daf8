"""The relaxation of EnTranNAS-DST: a softmax that is cut off below a trainable threshold per node.

What is cut off does not run, so the support shrinks to the architecture while the choices are learned and no rule is
needed to derive it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing, support_of
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.softmax import softmax_weights
from archgrad.choices.table import ChoiceTable, as_table
from archgrad.choices.temperature import check_temperatures, exponential, temperature_of
from archgrad.errors import InputError

__all__ = ["BETA", "Sparse", "normalised_per_edge", "sparse_weights", "thresholds"]

BETA = "beta"
"""Name of the thresholds' parameters among a table's extras: one number per group, groups ascending."""

LARGEST = 0.999
"""Largest threshold: sigmoid(beta) rounds to 1 for large beta, and then nothing at all would be above it."""


def thresholds(beta: Tensor) -> Tensor:
    """Return t_j = sigmoid(beta_j), at most 0.999 so that the largest connection of a node always stays above it.

    Args:
        beta: [groups].
    """
    return torch.sigmoid(beta).clamp(max=LARGEST)


def sparse_weights(p: Tensor, t: Tensor, groups: Sequence[int], young: Tensor | None = None) -> Tensor:
    """Return q_ij^k = ReLU(p_ij^k / max_{i<j,k} p_ij^k - t_j): EnTranNAS-DST, the cut with the node's maximum.

    Args:
        p: softmax weights, [rows, candidates].
        t: thresholds in [0, 1), [groups], in the order of the groups' numbers.
        groups: for every row its node j.
        young: bool [rows], rows that nothing is cut off yet (t = 0): they grew a short while ago.

    Returns:
        [rows, candidates]; above 0 for at least one candidate of every group that has any weight.
    """
    order = sorted(set(groups))
    rows = [[row for row, group in enumerate(groups) if group == wanted] for wanted in order]
    place = torch.tensor([order.index(group) for group in groups], device=p.device)
    # a group whose candidates are all dead has the maximum 0 and gets zeros, not 0 / 0
    largest = torch.stack([p[chosen].amax() for chosen in rows]).clamp_min(torch.finfo(p.dtype).tiny)
    cut = t[place] if young is None else t[place].masked_fill(young, 0.0)
    return torch.relu(p / largest[place].unsqueeze(1) - cut.unsqueeze(1))


def normalised_per_edge(q: Tensor) -> Tensor:
    """Return q_ij^k / sum_k q_ij^k on every edge with some q above 0, zeros on the others.

    Args:
        q: [rows, candidates], none negative.
    """
    total = q.sum(dim=1, keepdim=True)
    return q / torch.where(total > 0, total, torch.ones_like(total))


@dataclass(frozen=True)
class Sparse(Relaxation):
    """Softmax weights, cut off below each node's trainable threshold and normalised per edge; the rest runs.

    At a flat softmax a threshold of 0.5 cuts nothing: the temperature has to fall (or a ``threshold-pressure`` penalty
    to push) before the support shrinks.

    Args:
        deviation: standard deviation of the initial logits, around 0 (DARTS: 1e-3).
        start: temperature that the search comes from (a reconstruction).
        end: temperature of the last epoch, reached exponentially (a reconstruction).
        threshold: the t_j that every node starts with, in (0, 1) (a reconstruction: beta = 0).

    Raises:
        InputError: a temperature is not above 0, or the threshold is not between 0 and 1.
    """

    deviation: float = 1e-3
    start: float = 5.0
    end: float = 0.1
    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_temperatures(self.start, self.end)
        if not 0 < self.threshold < 1:
            raise InputError(f"relaxation.threshold is {self.threshold}; it must be above 0 and below 1.")

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return normal logits [rows, candidates] around 0."""
        return self.deviation * torch.randn(rows, candidates, generator=generator)

    def extras(self, groups: tuple[int, ...], candidates: int) -> dict[str, Tensor]:
        """Return beta_j of every group, so that sigmoid(beta_j) is the threshold to start with."""
        return {BETA: torch.full((len(set(groups)),), math.log(self.threshold / (1.0 - self.threshold)))}

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the cut and normalised weights; support = what is above 0. Bare logits get the first thresholds."""
        table = as_table(table)
        beta = table.extras[BETA] if BETA in table.extras else self.extras(table.groups, 0)[BETA].to(table.logits)
        temperature = temperature_of(table, progress.epoch, partial(exponential, self.start, self.end))
        p = softmax_weights(table.logits, table.alive, temperature)
        q = sparse_weights(p, thresholds(beta), table.groups, table.young)
        return Mixing(normalised_per_edge(q), support_of(q > 0))
