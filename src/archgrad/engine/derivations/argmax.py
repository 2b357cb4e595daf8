"""The derivation of SNAS: on every edge the strongest candidate, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.choices import Mixing, Support
from archgrad.space.cells import CellSpace

__all__ = ["ArgmaxPerEdge"]


@dataclass(frozen=True)
class ArgmaxPerEdge:
    """SNAS (arXiv 1812.09926): every edge keeps its most likely candidate; where that is ``none`` the edge goes.

    All candidates compete, ``none`` among them, so a node may end with any number of inputs, with none too. Equal
    weights: the earlier candidate. What does not run is never kept.
    """

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return the support with the strongest candidate of every edge."""
        weights = mixing.weights.detach().double().cpu().tolist()
        return tuple(_only_best(row, running) for row, running in zip(weights, mixing.support, strict=True))


def _only_best(weights: list[float], running: tuple[bool, ...]) -> tuple[bool, ...]:
    living = [candidate for candidate, runs in enumerate(running) if runs]
    best = max(living, key=lambda candidate: weights[candidate], default=None)
    return tuple(candidate == best for candidate in range(len(weights)))
