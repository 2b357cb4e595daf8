"""Random search with shared weights: of many random cells the one that the supernet's weights serve best.

Li, Talwalkar: Random Search and Reproducibility for Neural Architecture Search. UAI 2019, arXiv 1902.07638.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import torch

from archgrad.choices import Mixing, Support
from archgrad.engine.derivations.selection import child_loss, held_out, random_cells, standard_rule
from archgrad.engine.state import SearchState
from archgrad.errors import at_least_one
from archgrad.space.cells import CellSpace

__all__ = ["BestOfRandom"]

SEED = 32_452_843
"""Added to the search's seed, for the cells that are drawn."""


@dataclass(frozen=True)
class BestOfRandom:
    """Draws cells when the search is over and keeps the one with the smallest held-out loss, weights inherited.

    While the search goes on, what weighs most stands in for it.

    Args:
        cells: how many are drawn for every epoch of the search (the paper: 1000 in all).
        k: edges kept per node (DARTS' space: 2).
        batches: held-out batches that a cell is judged by (the paper: 1 for all cells, everything for the best few).
        statistics: training batches from which every cell's batch-norm statistics are estimated.

    Raises:
        InputError: an option is not positive.
    """

    cells: int = 20
    k: int = 2
    batches: int = 10
    statistics: int = 4

    def __post_init__(self) -> None:
        at_least_one("derivation", **vars(self))

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return what weighs most: the stand-in while the search goes on."""
        return standard_rule(self.k, mixing, cell)

    def select(self, state: SearchState) -> dict[str, Support]:
        """Return the supports of the best random cell; of equally good ones the first."""
        generator = torch.Generator().manual_seed(state.parts.seed + SEED)
        judged_by = held_out(state, self.batches)
        drawn = islice(random_cells(state, self.k, generator), self.cells * max(1, state.epoch))
        return min(drawn, key=lambda supports: child_loss(state, supports, judged_by, self.statistics))
