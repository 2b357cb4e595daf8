"""What stands before and behind a recurrent cell that forecasts: series in, forecasts out.

Supernets and derived networks share these modules. Torch alone is imported: a standalone export can copy this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.network.recurrent_cells import Recurrence

__all__ = ["ForecastEnds", "ForecastNetwork"]


class ForecastEnds(nn.Module):
    """Standardises a window and reads the forecast from the last state.

    Means and spreads are buffers, so a saved network takes series in the data's units and answers in them.

    Args:
        inputs: number of series F.
        hidden: units H of the recurrent cell.
        horizon: steps that are forecast.
        targets: which of the series are forecast.
        mean: per series; 0 when None.
        std: per series; 1 when None.
        anchor: whether each window is seen relative to its last values, which are added to the forecast again: the
            network then forecasts changes, and levels outside of the training range do no harm.
    """

    mean: Tensor
    std: Tensor
    targets: Tensor

    def __init__(
        self,
        inputs: int,
        hidden: int,
        horizon: int,
        targets: Sequence[int],
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        anchor: bool = False,
    ) -> None:
        super().__init__()
        self.horizon, self.anchor = horizon, anchor
        self.register_buffer("mean", torch.tensor(list(mean) if mean is not None else [0.0] * inputs))
        self.register_buffer("std", torch.tensor(list(std) if std is not None else [1.0] * inputs))
        self.register_buffer("targets", torch.tensor(list(targets), dtype=torch.long))
        self.decoder = nn.Linear(hidden, horizon * len(targets))

    def enter(self, x: Tensor) -> Tensor:
        """Return standardised series [T, N, F] of windows [N, T, F] in the data's units."""
        standard = (x - self.mean) / self.std
        if self.anchor:
            standard = standard - standard[:, -1:]
        return standard.transpose(0, 1)

    def leave(self, state: Tensor, x: Tensor) -> Tensor:
        """Return the forecasts [N, horizon, targets] in the data's units.

        Args:
            state: the recurrent cell's last state, [N, H].
            x: the windows that the state comes from, [N, T, F].
        """
        return self.restore(self.decoder(state).view(state.shape[0], self.horizon, -1), x)

    def restore(self, standard: Tensor, x: Tensor) -> Tensor:
        """Return standardised forecasts [N, horizon, targets] in the data's units.

        Args:
            standard: the forecasts.
            x: the windows that they follow, [N, T, F].
        """
        level = x[:, -1:].index_select(2, self.targets) if self.anchor else self.mean[self.targets]
        return standard * self.std[self.targets] + level


class ForecastNetwork(nn.Module):
    """A derived recurrent cell that forecasts: windows [N, T, F] -> the next values [N, horizon, targets].

    Args:
        blueprint: plain data with ``recurrence`` (see :class:`archgrad.network.recurrent_cells.Recurrence`),
            ``horizon``, ``targets``, ``mean``, ``std`` and ``anchor``. ``kind``, ``window`` and ``series`` are for
            those who save, train or ask it.
    """

    def __init__(self, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self.blueprint = blueprint
        core = blueprint["recurrence"]
        self.core = Recurrence(core)
        self.ends = ForecastEnds(
            core["inputs"],
            core["hidden"],
            blueprint["horizon"],
            blueprint["targets"],
            blueprint.get("mean"),
            blueprint.get("std"),
            bool(blueprint.get("anchor")),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the forecasts [N, horizon, targets] of windows [N, T, F], both in the data's units."""
        _, last = self.core(self.ends.enter(x))
        return self.ends.leave(last, x)
