"""A trainable table of choices: rows x candidates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

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
        young: bool [rows], rows that grew a short while ago and are not pruned yet; None where there are none.
        elder: bool [rows, candidates], what of the table was there before it grew; None unless it is on a ramp (see
            :mod:`archgrad.choices.ramp`).
        gate: g of the ramp, a trainable scalar; None unless it is on one.
        born: [rows], the clock of temperatures when each row grew; None where all rows are as old as the search.
    """

    alive: Tensor
    young: Tensor | None
    elder: Tensor | None
    gate: nn.Parameter | None
    born: Tensor | None

    def __init__(
        self, logits: Tensor, groups: Sequence[int] | None = None, extras: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.groups = tuple(groups) if groups is not None else (0,) * logits.shape[0]
        self.register_buffer("alive", torch.ones_like(logits, dtype=torch.bool))
        self.register_buffer("young", None)
        self.register_buffer("elder", None)
        self.register_buffer("born", None)
        self.register_parameter("gate", None)
        self.extras = nn.ParameterDict({name: nn.Parameter(value) for name, value in (extras or {}).items()})

    @property
    def prunable(self) -> Tensor:
        """What is alive and may be pruned, bool [rows, candidates]: not the young."""
        return self.alive if self.young is None else self.alive & ~self.young[:, None]

    def before(self) -> ChoiceTable:
        """Return a view of what was there before the table grew: the same numbers, the new candidates not alive."""
        assert self.elder is not None
        view = copy.copy(self)
        young = None if self.young is None else self.young & self.elder.all(dim=1)
        view._buffers = {**self._buffers, "alive": self.alive & self.elder, "elder": None, "young": young}
        view._parameters = {**self._parameters, "gate": None}
        return view

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take up what a table that grew has besides."""
        for name in ("young", "elder", "born"):
            found = state_dict.get(prefix + name)
            setattr(self, name, None if found is None else torch.empty_like(found, device=self.alive.device))
        gate = state_dict.get(prefix + "gate")
        self.gate = None if gate is None else nn.Parameter(torch.empty_like(gate, device=self.alive.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


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
