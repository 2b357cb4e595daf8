"""The recurrent supernet as a language model: what a search on text trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archgrad.network.language import LanguageEnds, Reading
from archgrad.space.skeleton import Layer
from archgrad.supernet.image import Mixings
from archgrad.supernet.recurrent.supernet import RecurrentSupernet
from archgrad.supernet.storage import Liveness

__all__ = ["LanguageSupernet"]


class LanguageSupernet(nn.Module):
    """A recurrent supernet between the two ends of a language model.

    Args:
        core: the recurrent supernet; its steps are the window's, and its inputs as many as its units.
        ends: embedding before it, scoring behind it.
        vocabulary: a number that tells vocabularies apart; kept with the weights, which mean nothing without it.
    """

    vocabulary: Tensor

    def __init__(self, core: RecurrentSupernet, ends: LanguageEnds, vocabulary: int = 0) -> None:
        super().__init__()
        self.core, self.ends = core, ends
        self.register_buffer("vocabulary", torch.tensor(vocabulary))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """One layer per time step of the window."""
        return self.core.layers

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cell kind of every time step."""
        return self.core.kinds

    def forward(self, x: Tensor, mixings: Mixings, hidden: Tensor | None = None) -> Reading:
        """Return what the scores of the next tokens follow from, and the state with which the next window goes on.

        Args:
            x: tokens int64 [N, T].
            mixings: cell kind -> mixing, or a list with one such mapping per time step.
            hidden: the state before the first token, [N, H]; zeros when None.
        """
        states, last = self.core(self.ends.enter(x.transpose(0, 1)), mixings, hidden)
        return self.ends.leave(states, last)

    def live_slices(self, mixings: Mixings) -> Liveness:
        """Return, by parameter name, the slices that these mixings run at any step, if not all of them."""
        return {f"core.{name}": slices for name, slices in self.core.live_slices(mixings).items()}
