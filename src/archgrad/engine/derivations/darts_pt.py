"""Selection by perturbation (DARTS-PT): what is kept is what the supernet misses most, not what weighs most.

Wang, Cheng, Chen, Tang, Hsieh: Rethinking Architecture Selection in Differentiable NAS. ICLR 2021, arXiv 2108.04392.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from archgrad.choices import Mixing, Support
from archgrad.engine.derivations.selection import final_expected, held_out, standard_rule
from archgrad.engine.evaluate import evaluate_mixings
from archgrad.engine.optimise import masked_step
from archgrad.engine.state import Batch, SearchState
from archgrad.errors import InputError
from archgrad.network.carried import handed_on, penalty_of, state_of
from archgrad.processes import average_gradients
from archgrad.space.cells import CellSpace

__all__ = ["PerturbationSelection", "only", "tuned", "without"]

SEED = 15_485_863
"""Added to the search's seed, for the order of the edges."""


def without(mixing: Mixing, row: int, candidate: int | None = None) -> Mixing:
    """Return the mixing without one candidate of an edge, or without the edge; the rest weighs what it weighed."""
    gone = torch.zeros_like(mixing.weights, dtype=torch.bool)
    gone[row, slice(None) if candidate is None else candidate] = True
    support = tuple(
        tuple(runs and not lost for runs, lost in zip(those, these, strict=True))
        for those, these in zip(mixing.support, gone.tolist(), strict=True)
    )
    return replace(mixing, weights=mixing.weights.masked_fill(gone, 0.0), support=support)


def only(mixing: Mixing, row: int, candidate: int) -> Mixing:
    """Return the mixing with an edge decided: one candidate, with weight 1."""
    weights = mixing.weights.clone()
    weights[row] = 0.0
    weights[row, candidate] = 1.0
    chosen = tuple(k == candidate for k in range(weights.shape[1]))
    return replace(mixing, weights=weights, support=(*mixing.support[:row], chosen, *mixing.support[row + 1 :]))


@dataclass(frozen=True)
class PerturbationSelection:
    """Decides edge by edge, in random order: the operation without which the held-out loss of the supernet is largest.

    Then, of every node, the k edges are kept without which it is largest. While the search goes on, what weighs most
    stands in for it. It judges by the loss, which ties less often than the paper's accuracy, on the part of the data
    that the choices learn from.

    Args:
        k: edges kept per node (the paper: 2).
        tune: share of the search's updates in which the weights adapt after every decided edge of all kinds (the paper:
            5 epochs after 50, so 0.1).
        batches: held-out batches that a decision is judged by; None for all of them, as in the paper.

    Raises:
        InputError: an option is too small.
    """

    k: int = 2
    tune: float = 0.0
    batches: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("tune", 0), ("batches", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"derivation.{name} is {value}; it must be at least {least}.")

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return what weighs most: the stand-in while the search goes on."""
        return standard_rule(self.k, mixing, cell)

    def select(self, state: SearchState) -> dict[str, Support]:
        """Return the support of every cell kind, decided with the supernet."""
        space, judged_by = state.parts.space, held_out(state, self.batches)
        mixings = {kind: replace(mixing, auxiliary=None) for kind, mixing in final_expected(state).items()}
        open_edges = {kind: _order(mixing, state.parts.seed) for kind, mixing in mixings.items()}
        steps, taken = round(self.tune * state.step), state.positions["weights"]
        while any(open_edges.values()):
            for kind in (kind for kind, rows in open_edges.items() if rows):
                row, cell = open_edges[kind].pop(), space.cells[kind]
                candidates = _candidates(mixings[kind], row, cell, kind in space.combiners)
                if not candidates:
                    mixings[kind] = without(mixings[kind], row)
                    continue
                losses = [
                    _loss(state, {**mixings, kind: without(mixings[kind], row, k)}, judged_by) for k in candidates
                ]
                mixings[kind] = only(mixings[kind], row, candidates[losses.index(max(losses))])
            tuned(state, mixings, steps, taken)
            taken += steps
        for kind, cell in space.cells.items():
            if not cell.single and kind not in space.combiners:
                mixings[kind] = self._topology(state, mixings, kind, judged_by)
        return {kind: mixing.support for kind, mixing in mixings.items()}

    def _topology(
        self, state: SearchState, mixings: Mapping[str, Mixing], kind: str, judged_by: Sequence[Batch]
    ) -> Mixing:
        """Return the mixing of a kind with the k edges of every node that the supernet misses most."""
        cell, mixing = state.parts.space.cells[kind], mixings[kind]
        for group in dict.fromkeys(cell.groups):
            rows = [row for row, of in enumerate(cell.groups) if of == group and any(mixing.support[row])]
            if len(rows) <= self.k:
                continue
            loss = {row: _loss(state, {**mixings, kind: without(mixing, row)}, judged_by) for row in rows}
            for row in sorted(rows, key=lambda row: -loss[row])[self.k :]:
                mixing = without(mixing, row)
        return mixing


def _order(mixing: Mixing, seed: int) -> list[int]:
    """Return the edges in random order."""
    generator = torch.Generator().manual_seed(seed + SEED)
    order: list[int] = torch.randperm(len(mixing.support), generator=generator).tolist()
    return order


def _candidates(mixing: Mixing, row: int, cell: CellSpace, combiner: bool) -> list[int]:
    """Return what an edge may keep: what runs, ``none`` only where no edge is left out for want of room."""
    return [
        k
        for k, name in enumerate(cell.operations)
        if mixing.support[row][k] and (cell.single or combiner or name != "none")
    ]


def _loss(state: SearchState, mixings: Mapping[str, Mixing], judged_by: Sequence[Batch]) -> float:
    return evaluate_mixings(state, mixings, judged_by)["loss"]


def tuned(state: SearchState, mixings: Mapping[str, Mixing], steps: int, start: int) -> None:
    """Let the supernet's weights adapt to fixed mixings by steps of their own optimiser at its last rate.

    Args:
        state: of the search; its weights and their optimiser change, its clocks and positions do not.
        mixings: by cell kind, constant.
        steps: training batches.
        start: position in the weights' stream.
    """
    parts, supernet, hidden = state.parts, state.supernet.train(), None
    weights = state.weights
    for x, y in islice(parts.data.stream("weights", start), steps):
        output = supernet(x, mixings, *handed_on(hidden))
        hidden = state_of(output)
        loss = parts.task.loss(output, y)
        extra: Tensor | None = penalty_of(output)
        found = torch.autograd.grad(loss if extra is None else loss + extra, list(weights.values()), allow_unused=True)
        for weight, gradient in zip(weights.values(), average_gradients(found, list(weights.values())), strict=True):
            weight.grad = gradient
        if parts.weights.clip is not None:
            clip_grad_norm_(supernet.parameters(), parts.weights.clip)
        masked_step(state.weight_optimizer, weights, supernet.live_slices(mixings))  # type: ignore[operator]
        state.weight_optimizer.zero_grad(set_to_none=True)
