"""The trainable tables: one per cell kind, rows x candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from archgrad.space.cells import CellSpace, Space

if TYPE_CHECKING:
    from archgrad.choices.relaxation import Relaxation

__all__ = ["ChoiceTable", "Choices", "as_table"]


class ChoiceTable(nn.Module):
    """One table of choices.

    Args:
        logits: [rows, candidates], the trainable numbers.
        groups: for every row what it competes for (the target node).
        extras: further trainable tensors that the relaxation declared, by name.

    Attributes:
        alive: bool [rows, candidates]; a candidate that is not alive never runs again.
    """

    alive: Tensor

    def __init__(
        self, logits: Tensor, groups: Sequence[int] | None = None, extras: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.groups = tuple(groups) if groups is not None else (0,) * logits.shape[0]
        self.register_buffer("alive", torch.ones_like(logits, dtype=torch.bool))
        self.extras = nn.ParameterDict({name: nn.Parameter(value) for name, value in (extras or {}).items()})


def as_table(table: ChoiceTable | Tensor, groups: Sequence[int] | None = None) -> ChoiceTable:
    """Accept a bare logits tensor in place of a table; gradients flow to the tensor that was given.

    Args:
        table: a table, or logits [rows, candidates].
        groups: for bare logits, what each row competes for; all rows together when None.
    """
    if isinstance(table, ChoiceTable):
        return table
    bare = ChoiceTable(table.detach(), groups)
    del bare.logits
    bare.logits = table  # type: ignore[assignment]
    return bare


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
