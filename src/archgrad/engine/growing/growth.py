"""When a cell grows, how far, and in which of two ways: growing DARTS by network morphism (arXiv 2106.07211).

Certain from the abstract: cells grow from small to large by network morphism, and growth is combined with pruning in
two modes. The rest is a reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from archgrad import registry
from archgrad.errors import InputError, at_least_one, unknown
from archgrad.space.cells import Space

__all__ = ["Growth", "Mode", "Trigger", "on_plateau", "planned_epochs"]

Mode = Literal["grow-then-prune", "grow-and-prune"]
Trigger = Literal["every", "plateau"]


def planned_epochs(count: int, epochs: int, until: float, every: int | None) -> list[int]:
    """Return after how many epochs each growth is planned.

    Args:
        count: how many growths.
        epochs: of the search.
        until: share of the search after which nothing grows.
        every: epochs between two growths; None: so many that all sizes but the last get the same share of the time.
    """
    if every is not None:
        return [every * index for index in range(1, count + 1)]
    return [math.floor(until * epochs * index / count + 0.5) for index in range(1, count + 1)]


def on_plateau(losses: Sequence[float], patience: int, improvement: float) -> bool:
    """Say whether none of the last losses is better than the best before them by a relative improvement.

    Args:
        losses: on the validation part, an epoch each, since the last growth.
        patience: how many epochs must have passed without an improvement.
        improvement: relative; 1e-3 asks for a thousandth less.
    """
    if len(losses) <= patience:
        return False
    return min(losses[-patience:]) > (1.0 - improvement) * min(losses[:-patience])


@dataclass(frozen=True)
class Growth:
    """Grow from a small cell to the full one while searching, without a jump in what the supernet computes.

    Args:
        start: computed nodes of the first cell (a reconstruction: 2 for recurrent cells, 1 for images).
        limit: growth ends after limit - start steps: with the step "node" at cells of so many nodes. None: at the
            nodes of the space (8 in the recurrent ones, 4 in darts).
        trigger: "every" so many epochs, or on a "plateau" of the validation loss.
        every: epochs between two growths; None: evenly, so that the last one comes at ``until``.
        patience: epochs without improvement that make a plateau (a reconstruction: 3).
        improvement: relative improvement that counts as one (a reconstruction: 1e-3).
        until: share of the search after which nothing grows, so that the full cell is trained for the rest.
        ramp: epochs over which gates and ramps open at the latest; they learn to open sooner.
        mode: "grow-then-prune": everything stays mixed until one derivation at the end; "grow-and-prune": each growth
            first fixes what the older nodes would be derived to, and only the new node is searched.
        steps: the growth steps in turn, names that are registered as "morphism", with a word after a colon where one
            needs it: node, split, candidate:sep_conv_5x5, hadamard, wider:32, cell.
        roll_back: whether a growth after which the validation loss stays higher is undone; nothing grows after that.
        grace: epochs after which that is decided.

    Raises:
        InputError: an option is out of its range, or there is no such step.
    """

    start: int = 1
    limit: int | None = None
    trigger: Trigger = "every"
    every: int | None = None
    patience: int = 3
    improvement: float = 1e-3
    until: float = 0.75
    ramp: float = 1.0
    mode: Mode = "grow-then-prune"
    steps: tuple[str, ...] = ("node",)
    roll_back: bool = False
    grace: int = 3

    def __post_init__(self) -> None:
        for name, allowed in (("trigger", get_args(Trigger)), ("mode", get_args(Mode))):
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed, f"growth.{name}")
        at_least_one("growth", start=self.start, patience=self.patience, grace=self.grace, every=self.every)
        if self.limit is not None and self.limit < self.start:
            raise InputError(f"growth.limit is {self.limit}, less than growth.start, which is {self.start}.")
        if not 0 < self.until <= 1:
            raise InputError(
                f"growth.until is {self.until:g}; it must be above 0 and at most 1: a share of the search."
            )
        if self.ramp <= 0:
            raise InputError(f"growth.ramp is {self.ramp:g}; it must be above 0: epochs, such as 0.5.")
        if not 0 <= self.improvement < 1:
            raise InputError(f"growth.improvement is {self.improvement:g}; it must be from 0 to below 1.")
        if not self.steps:
            raise InputError(f"growth.steps is empty; name one of {', '.join(registry.names('morphism'))}.")
        for step in self.steps:
            if step.partition(":")[0] not in registry.names("morphism"):
                raise unknown("growth step", step, registry.names("morphism"), "growth.steps")

    def count(self, space: Space) -> int:
        """Return how many growths there are at most.

        Args:
            space: as the settings describe it; its nodes are the limit where none is set.

        Raises:
            InputError: the space's cells have fewer nodes than the first cell.
        """
        limit = self.limit if self.limit is not None else max(cell.nodes for cell in space.cells.values())
        if limit < self.start:
            raise InputError(
                f"growth.start is {self.start}, and the cells of {space.name} have {limit} nodes (space.nodes): "
                "there is nothing to grow. Take a smaller start, or a larger growth.limit."
            )
        return limit - self.start

    def step(self, done: int) -> tuple[str, str]:
        """Return name and word of the step that comes after so many growths."""
        name, _, word = self.steps[done % len(self.steps)].partition(":")
        return name, word

    def due(self, done: int, count: int, epoch: int, epochs: int, losses: Sequence[float]) -> bool:
        """Say whether it is time to grow; never so late that no epoch would be left behind the ramp.

        Args:
            done: growths so far.
            count: growths at most.
            epoch: epochs done.
            epochs: of the search.
            losses: on the validation part, an epoch each, since the last growth.
        """
        if done >= count or epoch + math.ceil(self.ramp) >= epochs:
            return False
        if self.trigger == "plateau":
            return epoch <= self.until * epochs and on_plateau(losses, self.patience, self.improvement)
        rest = math.ceil(self.ramp) * (count - done)  # epochs that this growth and those after it take at least
        planned = planned_epochs(count, epochs, self.until, self.every)[done]
        return epoch >= (planned if self.every is not None else min(planned, epochs - 1 - rest))
