"""The protocol of a relaxation: from a table of choices to a mixing."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing
from archgrad.choices.progress import Progress
from archgrad.choices.table import ChoiceTable

__all__ = ["Relaxation"]


class Relaxation(Protocol):
    """Turns logits into a :class:`Mixing`; knows no network.

    The order of calls in one update:

    1. :meth:`noise` once per table and draw; every forward of the update uses the same one;
    2. the relaxation itself, pure, once per forward;
    3. :meth:`settle` once after the weights and the choices were updated.

    :meth:`expected` is deterministic and the only thing that derivation, projections, the monitor and expected costs
    read: an architecture derived from a *sample* would be noise.
    """

    @property
    def needs_node_norm(self) -> bool:
        """Whether every node's sum needs a non-affine batch norm, in the derived network too."""
        return False

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return the logits [rows, candidates] that a table starts with."""
        ...

    def extras(self, groups: tuple[int, ...], candidates: int) -> dict[str, Tensor]:
        """Return further trainable tensors that this relaxation reads from its table (thresholds, say)."""
        return {}

    def noise(self, table: ChoiceTable, generator: torch.Generator) -> Tensor | None:
        """Return what is random about one draw, or None if nothing is."""
        return None

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the mixing, differentiable in the table."""
        ...

    def expected(self, table: ChoiceTable | Tensor, progress: Progress) -> Mixing:
        """Return the deterministic mixing that decisions are based on."""
        return self(table, progress)

    def settle(self, table: ChoiceTable) -> None:
        """Change the table after an update where the method asks for it (a candidate that died, say)."""
        return None
