"""All tables of a search: one per cell kind, started and extended as the relaxation asks."""

from __future__ import annotations

import torch
from torch import nn

from archgrad.choices.relaxation import Relaxation
from archgrad.choices.table import ChoiceTable
from archgrad.space.cells import CellSpace, Space

__all__ = ["Choices"]


class Choices(nn.Module):
    """The tables of a whole search, by cell kind.

    Args:
        space: gives rows, candidates and groups of each table.
        relaxation: gives the initial logits and the extra parameters.
        generator: source of the initial noise.
    """

    def __init__(self, space: Space, relaxation: Relaxation, generator: torch.Generator) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {kind: self._table(cell, relaxation, generator) for kind, cell in space.cells.items()}
        )

    @staticmethod
    def _table(cell: CellSpace, relaxation: Relaxation, generator: torch.Generator) -> ChoiceTable:
        rows, candidates = len(cell.edges), len(cell.operations)
        logits = relaxation.initial(rows, candidates, generator)
        return ChoiceTable(logits, cell.groups, relaxation.extras(cell.groups, candidates))

    def items(self) -> list[tuple[str, ChoiceTable]]:
        """Return (cell kind, table) of every table."""
        return [(kind, table) for kind, table in self.tables.items() if isinstance(table, ChoiceTable)]
