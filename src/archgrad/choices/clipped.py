"""The clipped relaxation (CRB) of "On Constrained Optimization in Differentiable NAS": no competition on an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing, support_of
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.table import ChoiceTable, as_table

__all__ = ["Clipped", "clipped_weights", "survivors"]


def clipped_weights(logits: Tensor, alive: Tensor) -> Tensor:
    """Return a = min(max(alpha, 0), 1), element by element, of the living candidates (arXiv 2106.11655, CRB).

    The gradient is 1 within [0, 1] and 0 outside of it. Weights of an edge need not sum to 1, so they can be compared
    across edges.

    Args:
        logits: alpha, [rows, candidates].
        alive: bool [rows, candidates].
    """
    return logits.clamp(0.0, 1.0).masked_fill(~alive, 0.0)


def survivors(logits: Tensor, alive: Tensor, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return who lives on: the living with alpha > 0, and where a group would lose all, its strongest one.

    Args:
        logits: alpha, [rows, candidates], on the CPU.
        alive: bool [rows, candidates], on the CPU.
        groups: for every row the node that it leads to.

    Returns:
        Two bool tensors [rows, candidates]: who lives, and who of them was spared as the last of its node.
    """
    positive = alive & (logits > 0)
    spared = torch.zeros_like(alive)
    places = torch.tensor(groups)
    for group in dict.fromkeys(groups):
        rows = places == group
        if bool(alive[rows].any()) and not bool(positive[rows].any()):
            candidates = logits.masked_fill(~(alive & rows[:, None]), -torch.inf)
            spared.view(-1)[candidates.argmax()] = True
    return positive | spared, spared


@dataclass(frozen=True)
class Clipped(Relaxation):
    """Mixing weights by clipping to [0, 1]; a candidate that reaches 0 is gone for good and no longer computed.

    Every node's sum needs a non-affine batch norm, since nothing else bounds its scale. The space should be without
    ``none``: an edge is left out by losing all of its candidates.

    Args:
        deviation: standard deviation of the initial values, around 1 / candidates (published code: 1e-4).
    """

    deviation: float = 1e-4

    @property
    def needs_node_norm(self) -> bool:
        """Yes: in the supernet and in the derived network."""
        return True

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return 1 / K + noise for K candidates, [rows, candidates]."""
        return 1.0 / candidates + self.deviation * torch.randn(rows, candidates, generator=generator)

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the clipped values; support = what is alive."""
        table = as_table(table)
        return Mixing(clipped_weights(table.logits, table.alive), support_of(table.alive))

    @torch.no_grad()
    def settle(self, table: ChoiceTable) -> None:
        """Let candidates at 0 or below die, but never a node's last one, nor one that has only just grown.

        The last one returns to its initial value 1 / K: at 0 it would pass nothing on and never learn again. Behind the
        node's norm the scale of a sole candidate makes no difference.
        """
        # a small table is looked at on the CPU: one wait for a GPU instead of one per node
        alive, spared = (
            mask.to(table.alive.device) for mask in survivors(table.logits.cpu(), table.alive.cpu(), table.groups)
        )
        if table.young is not None:
            kept = table.alive & table.young[:, None]
            alive, spared = alive | kept, spared & ~kept
            table.logits.copy_(torch.where(kept, table.logits.clamp_min(0.0), table.logits))  # at 0 they still learn
        table.alive.copy_(alive)
        table.logits.masked_fill_(~alive, 0.0)  # also what the optimiser's momentum moved since its death
        table.logits.masked_fill_(spared, 1.0 / table.logits.shape[1])
