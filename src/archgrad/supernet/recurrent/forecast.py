"""The recurrent supernet as a forecaster: what a search on series trains."""

from __future__ import annotations

from torch import Tensor, nn

from archgrad.network.heads import ForecastEnds
from archgrad.space.skeleton import Layer
from archgrad.supernet.image import Mixings
from archgrad.supernet.recurrent.supernet import RecurrentSupernet
from archgrad.supernet.storage import Liveness

__all__ = ["ForecastSupernet"]


class ForecastSupernet(nn.Module):
    """A recurrent supernet between the two ends of a forecaster.

    Args:
        core: the recurrent supernet; its steps are the window's.
        ends: standardising before it, decoding behind it.
    """

    def __init__(self, core: RecurrentSupernet, ends: ForecastEnds) -> None:
        super().__init__()
        self.core, self.ends = core, ends

    @property
    def layers(self) -> tuple[Layer, ...]:
        """One layer per time step of the window."""
        return self.core.layers

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cell kind of every time step."""
        return self.core.kinds

    def forward(self, x: Tensor, mixings: Mixings) -> Tensor:
        """Return the forecasts [N, horizon, targets] of windows [N, T, F], both in the data's units.

        Args:
            x: the windows.
            mixings: cell kind -> mixing, or a list with one such mapping per time step.
        """
        _, last = self.core(self.ends.enter(x), mixings)
        return self.ends.leave(last, x)

    def live_slices(self, mixings: Mixings) -> Liveness:
        """Return, by parameter name, the slices that these mixings run at any step, if not all of them."""
        return {f"core.{name}": slices for name, slices in self.core.live_slices(mixings).items()}
