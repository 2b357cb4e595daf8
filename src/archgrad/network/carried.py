"""What a network of text hands on besides its output: the state for the next window, and a term of the training loss.

Batches of images and of windows of series are apart from one another; their networks hand on nothing.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["handed_on", "penalty_of", "state_of"]


def state_of(output: Any) -> Tensor | None:
    """Return the hidden state [N, ...] behind an output, detached; None of a network that has none."""
    last: Tensor | None = getattr(output, "last", None)
    return None if last is None else last.detach()


def handed_on(state: Tensor | None, rows: int | None = None) -> tuple[Tensor, ...]:
    """Return the further arguments of a network's next call: the state, or nothing.

    Args:
        state: what :func:`state_of` returned; None at the beginning of a text.
        rows: streams that go on, where some have ended.
    """
    return () if state is None else (state[:rows],)


def penalty_of(output: Any) -> Tensor | None:
    """Return what an output asks the training loss to add, or None."""
    penalty: Tensor | None = getattr(output, "penalty", None)
    return penalty
