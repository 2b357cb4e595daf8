"""A trainable table of choices: rows x candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["ChoiceTable", "as_table"]


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
