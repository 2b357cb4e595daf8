"""Regularised evolution with shared weights: mutants of good cells replace the oldest, the supernet judges.

Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search. AAAI 2019, arXiv 1802.01548.
There every cell is trained by itself; here it inherits its weights from the supernet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from archgrad.choices import Mixing, Support
from archgrad.engine.derivations.selection import child_loss, final_expected, held_out, random_cells, standard_rule
from archgrad.engine.state import SearchState
from archgrad.errors import at_least_one
from archgrad.space.cells import CellSpace

__all__ = ["Evolution", "evolved", "mutated"]

SEED = 49_979_687
"""Added to the search's seed, for cells, tournaments and mutations."""

Supports = dict[str, Support]


def mutated(support: Support, runs: Support, cell: CellSpace, generator: torch.Generator) -> Support:
    """Return a support with one change: an edge gets another operation, or its operation another edge into its node.

    Both kinds of change are equally likely where both are possible.

    Args:
        support: what the parent keeps, one operation on an edge at most.
        runs: what may be kept.
        cell: the graph and the names of the candidates.
        generator: of the draw.
    """
    free = [k for k, name in enumerate(cell.operations) if cell.single or name != "none"]
    kept = {row: next(k for k, keeps in enumerate(those) if keeps) for row, those in enumerate(support) if any(those)}
    operations = [(row, row, k) for row, now in kept.items() for k in free if k != now and runs[row][k]]
    sources = [
        (row, other, now)
        for row, now in kept.items()
        for other, group in enumerate(cell.groups)
        if group == cell.groups[row] and other not in kept and runs[other][now]
    ]
    possible = [moves for moves in (operations, sources) if moves]
    if not possible:
        return support
    moves = possible[_draw(len(possible), generator)]
    before, after, candidate = moves[_draw(len(moves), generator)]
    del kept[before]
    kept[after] = candidate
    return tuple(tuple(kept.get(row) == k for k in range(len(those))) for row, those in enumerate(support))


def evolved(
    first: list[Supports],
    mutate: Callable[[Supports], Supports],
    cost: Callable[[Supports], float],
    total: int,
    sample: int,
    generator: torch.Generator,
) -> Supports:
    """Return the best cell of an evolution by ageing (algorithm 1 of the paper).

    Args:
        first: the population to begin with; its size stays.
        mutate: parent -> child.
        cost: what is to be small.
        total: cells that are judged in all.
        sample: cells of a tournament, whose best becomes the parent.
        generator: of the tournaments.
    """
    population = deque((cost(cell), cell) for cell in first)
    best = min(population, key=lambda one: one[0])
    for _ in range(total - len(first)):
        drawn = [population[_draw(len(population), generator)] for _ in range(sample)]
        child = mutate(min(drawn, key=lambda one: one[0])[1])
        population.append((cost(child), child))
        population.popleft()
        best = min(best, population[-1], key=lambda one: one[0])
    return best[1]


@dataclass(frozen=True)
class Evolution:
    """Evolves cells when the search is over and keeps the one with the smallest held-out loss, weights inherited.

    While the search goes on, what weighs most stands in for it.

    Args:
        cells: how many are judged for every epoch of the search, the first population among them (the paper, where
            every cell is trained by itself: 20000 in all).
        population: how many live at a time (the paper: 100).
        sample: cells of a tournament (the paper: 25).
        k: edges kept per node (DARTS' space: 2).
        batches: held-out batches that a cell is judged by.
        statistics: training batches from which every cell's batch-norm statistics are estimated.

    Raises:
        InputError: an option is not positive.
    """

    cells: int = 20
    population: int = 20
    sample: int = 5
    k: int = 2
    batches: int = 10
    statistics: int = 4

    def __post_init__(self) -> None:
        at_least_one("derivation", **vars(self))

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return what weighs most: the stand-in while the search goes on."""
        return standard_rule(self.k, mixing, cell)

    def select(self, state: SearchState) -> dict[str, Support]:
        """Return the supports of the best cell that lived."""
        generator = torch.Generator().manual_seed(state.parts.seed + SEED)
        expected, space = final_expected(state), state.parts.space
        judged_by, random = held_out(state, self.batches), random_cells(state, self.k, generator)

        def mutate(parent: Mapping[str, Support]) -> Supports:
            kind = list(parent)[_draw(len(parent), generator)]
            changed = mutated(parent[kind], expected[kind].support, space.cells[kind], generator)
            return {**parent, kind: changed}

        first = [next(random) for _ in range(self.population)]
        known: dict[tuple[Support, ...], float] = {}

        def cost(cell: Supports) -> float:
            key = tuple(cell.values())
            if key not in known:
                known[key] = child_loss(state, cell, judged_by, self.statistics)
            return known[key]

        return evolved(first, mutate, cost, self.cells * max(1, state.epoch), self.sample, generator)


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
