"""What an epoch adds up: losses, penalties and credits, so that its log line holds their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from archgrad.engine.hypergradient import Level

__all__ = ["Sums"]


class Sums:
    """Sums over the updates of an epoch so far, with how many entered each; part of the checkpoint."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[float]] = {}
        self.credits: dict[str, Tensor] = {}

    def add(
        self, losses: Mapping[Level, float], terms: Mapping[str, float], credits: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Add what one update computed.

        Args:
            losses: by level.
            terms: the penalties' values by name.
            credits: for every draw, cell kind -> credit of every edge, [rows]; empty where no choices learned.
        """
        for name, value in [*losses.items(), *((f"penalties.{name}", value) for name, value in terms.items())]:
            total = self.numbers.setdefault(name, [0.0, 0.0])
            total[0], total[1] = total[0] + value, total[1] + 1.0
        if credits:
            self.numbers.setdefault("credits", [0.0, 0.0])[1] += 1.0
        for draw in credits:
            for kind, credit in draw.items():
                found = credit.detach().double().cpu()
                before = self.credits.get(kind)
                self.credits[kind] = found if before is None else before + found

    def mean(self, name: str) -> float | None:
        """Return the mean of a level's loss, or None where it was never computed."""
        total, count = self.numbers.get(name, (0.0, 0.0))
        return total / count if count else None

    @property
    def penalties(self) -> dict[str, float]:
        """The mean of every penalty's value by name."""
        names = [name for name in self.numbers if name.startswith("penalties.")]
        return {name.removeprefix("penalties."): self.mean(name) or 0.0 for name in names}

    @property
    def credit(self) -> dict[str, list[float]]:
        """The mean credit of every edge by cell kind, draws of one update added up; empty where none was computed."""
        count = self.numbers.get("credits", [0.0, 0.0])[1]
        return {kind: (total / count).tolist() for kind, total in self.credits.items()} if count else {}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as a tree of tensors and plain data."""
        return {"numbers": {name: list(total) for name, total in self.numbers.items()}, "credits": dict(self.credits)}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take up a tree that :meth:`state_dict` returned."""
        self.numbers = {name: list(total) for name, total in tree["numbers"].items()}
        self.credits = {kind: torch.as_tensor(total) for kind, total in tree["credits"].items()}
