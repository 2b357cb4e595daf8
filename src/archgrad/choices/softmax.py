"""The relaxation of DARTS and of EnTranNAS' Engine-cells: candidates of an edge share a softmax with a temperature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from archgrad.choices.beside import edge_extras, with_edges, with_skip
from archgrad.choices.mixing import Mixing, support_of
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.table import ChoiceTable, as_table
from archgrad.choices.temperature import check_temperatures, exponential, temperature_of
from archgrad.errors import InputError

__all__ = ["Softmax", "softmax_weights"]


def softmax_weights(logits: Tensor, alive: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
    """Return exp(alpha_k / tau) / sum_l exp(alpha_l / tau) over the living candidates of every edge.

    DARTS, equation 2, where tau is 1; EnTranNAS, the weights of Engine-cells.

    Args:
        logits: alpha, [rows, candidates].
        alive: bool [rows, candidates]; a row without any living candidate gets zeros.
        temperature: tau, or [rows, 1] where every row has its own.
    """
    weights = torch.softmax((logits / temperature).masked_fill(~alive, -torch.inf), dim=-1)
    return weights.masked_fill(~alive, 0.0)


@dataclass(frozen=True)
class Softmax(Relaxation):
    """Mixing weights by softmax over each edge's candidates, everything runs.

    Args:
        deviation: standard deviation of the initial logits, around 0 (DARTS: 1e-3).
        start: temperature that the search comes from (DARTS: 1 throughout; EnTranNAS: 5, a reconstruction).
        end: temperature of the last epoch, reached exponentially; equal to ``start`` for a constant one.
        edges: whether every edge has a trainable weight too, which into a node sum to 1 (PC-DARTS' edge normalisation).
        skip: strength of an auxiliary skip connection on every edge at the start, linear to 0 (DARTS-: 1); for images.

    Raises:
        InputError: a temperature is not above 0, or the skip's strength is negative.
    """

    deviation: float = 1e-3
    start: float = 1.0
    end: float = 1.0
    edges: bool = False
    skip: float = 0.0

    def __post_init__(self) -> None:
        check_temperatures(self.start, self.end)
        if self.skip < 0:
            raise InputError(f"relaxation.skip is {self.skip:g}; it must be at least 0.")

    def extras(self, groups: tuple[int, ...], candidates: int) -> dict[str, Tensor]:
        """Return the edges' parameters where edges have weights of their own."""
        return edge_extras(groups) if self.edges else {}

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return normal logits [rows, candidates] around 0."""
        return self.deviation * torch.randn(rows, candidates, generator=generator)

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the softmax of the living candidates; support = what is alive."""
        table = as_table(table)
        temperature = temperature_of(table, progress.epoch, partial(exponential, self.start, self.end))
        mixing = Mixing(softmax_weights(table.logits, table.alive, temperature), support_of(table.alive))
        if self.edges:
            mixing = with_edges(mixing, table)
        return with_skip(mixing, table, self.skip, progress) if self.skip else mixing
