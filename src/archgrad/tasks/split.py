"""Which example serves what, and in which order: seeded splits and the batches of an endless stream.

Everything here is a pure function of seeds and labels, on indices alone: no image is touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from archgrad.errors import InputError, unknown

__all__ = ["PARTS", "Splits", "generator", "hold_out", "seed_of", "split_training", "stratified"]

PARTS = ("weights", "choices", "validation", "train", "test")
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


def seed_of(*key: object) -> int:
    """Return a seed in [0, 2**63) for a key of words and numbers, the same in every process and on every machine."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") >> 1


def generator(*key: object) -> torch.Generator:
    """Return a CPU generator seeded by a key: equal keys draw equal numbers."""
    return torch.Generator().manual_seed(seed_of(*key))


def stratified(labels: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take ``count`` examples at random, from every class its share, and return (the others, the taken).

    Each class gives count * (its share) rounded down; the remaining places go to the classes with the largest
    fractions, ties at random. A class is emptied only if there is no other way.

    Args:
        labels: int64 [N].
        count: how many to take, 0 to N.
        random: where the draws come from.

    Returns:
        Two ascending index tensors that partition range(N).
    """
    shuffled = torch.randperm(len(labels), generator=random)
    classes, sizes = torch.unique(labels, return_counts=True)
    # in whole numbers, because a quota such as 0.1 * 30 is not exact
    base = count * sizes // max(1, len(labels))
    fraction = (count * sizes % max(1, len(labels))).tolist()
    tie = torch.rand(len(classes), generator=random).tolist()
    given, room = base.tolist(), sizes.tolist()
    order = sorted(range(len(classes)), key=lambda c: (given[c] + 1 >= room[c], -fraction[c], tie[c]))
    for c in order[: count - sum(given)]:
        given[c] += 1
    of_class = labels[shuffled]
    taken = torch.zeros(len(labels), dtype=torch.bool)
    for c, quota in zip(classes.tolist(), given, strict=True):
        taken[shuffled[of_class == c][:quota]] = True
    return (~taken).nonzero().flatten(), taken.nonzero().flatten()


def hold_out(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return (training, test) indices where the data come without a test part: 20 %, stratified.

    Fixed by the data and not by the run's seed, so that runs with different seeds are tested on the same images.
    """
    return stratified(labels, _count(TEST_SHARE, len(labels)), generator("test"))


def split_training(labels: Tensor, *, seed: int, choice_share: float) -> dict[str, Tensor]:
    """Divide the examples outside the test part among what a search needs.

    Args:
        labels: int64 [N], of everything outside the test part.
        seed: the run's seed.
        choice_share: share of what remains beside validation that serves the choices, in [0, 1); 0 when weights and
            choices are trained jointly on the same examples.

    Returns:
        Ascending indices of the parts ``train`` (all), ``validation`` (10 %), ``weights`` and ``choices``.

    Raises:
        InputError: the share is outside [0, 1), or there are too few examples for every part to get one.
    """
    if not 0 <= choice_share < 1:
        raise InputError(f"The choices' share of the training data must be at least 0 and below 1, got {choice_share}.")
    rest, validation = stratified(labels, _count(VALIDATION_SHARE, len(labels)), generator(seed, "validation"))
    if choice_share:
        kept, taken = stratified(labels[rest], _count(choice_share, len(rest)), generator(seed, "choices"))
        weights, choices = rest[kept], rest[taken]
    else:
        weights = choices = rest
    parts = {"weights": weights, "choices": choices, "validation": validation, "train": torch.arange(len(labels))}
    empty = [name for name, indices in parts.items() if not len(indices)]
    if empty:
        raise InputError(f"{len(labels)} training examples are too few: nothing is left for {' and '.join(empty)}.")
    return parts


def _count(share: float, total: int) -> int:
    """Return the rounded share of a total, at least 1 where there is anything."""
    return min(total, max(1, round(share * total)))


@dataclass
class Splits:
    """The indices of every part and the order in which an endless, shuffled stream visits them.

    Args:
        indices: part -> int64 indices into the store that the part lives in.
        seed: the run's seed.
        batch: examples of one step over all processes.
        rank: number of this process.
        world: number of processes; a step's examples are dealt out as ``[rank::world]``.

    Raises:
        InputError: the batch is not positive or cannot be shared evenly by the processes.
    """

    indices: Mapping[str, Tensor]
    seed: int
    batch: int
    rank: int = 0
    world: int = 1
    _orders: dict[str, tuple[int, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"A batch needs at least one example, got batch={self.batch}.")
        if not 0 <= self.rank < self.world:
            raise InputError(f"Process {self.rank} of {self.world} does not exist; ranks count from 0.")
        if self.batch % self.world:
            raise InputError(
                f"A batch of {self.batch} cannot be shared evenly by {self.world} processes; "
                f"take a multiple of {self.world}."
            )
        for part, indices in self.indices.items():
            # only what is streamed is shared out; validation and test are read whole by every process
            if part in ("weights", "choices", "train") and len(indices) < self.world:
                raise InputError(f"{len(indices)} examples in part '{part}' are too few for {self.world} processes.")

    def of(self, part: str) -> Tensor:
        """Return the indices of a part, ascending.

        Raises:
            InputError: there is no such part.
        """
        if part not in self.indices:
            raise unknown("part of the data", part, self.indices)
        return self.indices[part]

    def per_step(self, part: str) -> int:
        """Return the examples of one step over all processes: the batch, or all of a smaller part."""
        size = min(self.batch, len(self.of(part)))
        return size - size % self.world

    def steps(self, part: str) -> int:
        """Return the steps of one epoch; the examples of a last incomplete batch wait for the next epoch's shuffle."""
        return len(self.of(part)) // self.per_step(part)

    def step(self, part: str, number: int) -> Tensor:
        """Return the indices of one step over all processes, a pure function of (seed, part, number)."""
        epoch, place = divmod(number, self.steps(part))
        if self._orders.get(part, (-1,))[0] != epoch:
            order = torch.randperm(len(self.of(part)), generator=generator(self.seed, part, epoch))
            self._orders[part] = (epoch, self.of(part)[order])
        size = self.per_step(part)
        return self._orders[part][1][place * size : (place + 1) * size]

    def share(self, step: Tensor) -> Tensor:
        """Return this process' share of a step's examples (or of anything else listed in their order)."""
        return step[self.rank :: self.world]

    def in_order(self, part: str) -> Iterator[Tensor]:
        """Yield every example of a part once, in order, the same in all processes."""
        yield from torch.split(self.of(part), self.batch)
