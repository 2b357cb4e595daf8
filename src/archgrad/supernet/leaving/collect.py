"""From the banks of a node to what leaves it: operations sorted by type, and the running statistics that they move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from archgrad.network.modules import DilatedConvolution, FactorizedReduce, Pool, SeparableConvolution
from archgrad.supernet.fast.folded import Span, packed
from archgrad.supernet.leaving.eval_mode import Constants, EvalPass
from archgrad.supernet.leaving.function import Leaving
from archgrad.supernet.leaving.spec import Kind, Moments, Shared, Spec
from archgrad.supernet.storage import Bank, StackedBank

__all__ = ["Collected", "Group"]


@dataclass(frozen=True)
class Group:
    """All rows of one operation that leave one source.

    Args:
        operation: its name.
        slices: which run, ascending.
        entries: [slices, targets]: position of the weight in the flattened mixing, or the position behind its end.
    """

    operation: str
    slices: tuple[int, ...]
    entries: tuple[tuple[int, ...], ...]

    @property
    def merged(self) -> tuple[tuple[int, ...], ...]:
        """The entries as if all slices were one: for operations whose slices are equal."""
        return (tuple(min(column) for column in zip(*self.entries, strict=True)),)

    def spans(self, channels: int, nothing: int) -> tuple[Span, ...]:
        """Return which slices are multiplied together, into which targets; ``nothing`` is the entry of no weight."""
        pack, found = packed(channels), []
        for first in range(0, len(self.slices), pack):
            rows = self.entries[first : first + pack]
            used = [target for row in rows for target, entry in enumerate(row) if entry != nothing]
            found.append(Span(first, first + len(rows), min(used), max(used) + 1 - min(used), min(used)))
        return tuple(found)


class Collected:
    """The operations that leave one source, as the fast path wants them; the rest is left in ``unknown``.

    Args:
        channels: of every node.
        nothing: the entry of no weight.
        training: whether batch norms normalise by the batch, so that all slices of a pool are equal.
    """

    def __init__(self, channels: int, nothing: int, training: bool) -> None:
        self.channels, self.nothing, self.training = channels, nothing, training
        self.eps: float | None = None
        self.unknown: list[Group] = []
        self.identity: list[tuple[int, ...]] = []
        self.pools: list[tuple[str, Group, nn.BatchNorm2d]] = []
        self.halved: tuple[Group, nn.BatchNorm2d, Tensor] | None = None
        self.kinds: list[tuple[Kind, Group, tuple[nn.BatchNorm2d, ...], tuple[Tensor, ...]]] = []

    @property
    def index(self) -> tuple[tuple[int, ...], ...]:
        """The entries of all rows of weights, in the order of :class:`Spec`."""
        rows = [*self.identity]
        for _, group, _ in self.pools:
            rows += group.merged if self.training else group.entries
        if self.halved is not None:
            rows += self.halved[0].entries
        for _, group, _, _ in self.kinds:
            rows += group.entries
        return tuple(rows)

    def take(self, group: Group, bank: Bank) -> None:
        """Sort a group in by the type of its operation."""
        operation = bank.operation if isinstance(bank, StackedBank) else None
        norms = [layer for layer in operation.modules() if isinstance(layer, nn.BatchNorm2d)] if operation else []
        if operation is None or not all(self._suits(norm) for norm in norms):
            self.unknown.append(group)
            return
        slices, every = len(group.slices), len(group.slices) == cast(StackedBank, bank).slices

        def pick(layer: nn.Module) -> Tensor:
            weight = cast(Tensor, layer.weight)
            return weight if every else weight[list(group.slices)]

        if type(operation) is nn.Identity:
            self.identity += group.merged
        elif type(operation) is Pool and norms:
            kind = "max" if isinstance(operation.pool, nn.MaxPool2d) else "average"
            self.pools.append((kind, group, norms[0]))
        elif type(operation) is FactorizedReduce:
            even, odd = pick(operation.even).flatten(2), pick(operation.odd).flatten(2)
            upper = torch.cat([even, torch.zeros_like(even)], dim=2)
            lower = torch.cat([torch.zeros_like(odd), odd], dim=2)
            self.halved = group, norms[0], torch.cat([upper, lower], dim=1)
        elif type(operation) in (DilatedConvolution, SeparableConvolution):
            layers = [layer for layer in operation.modules() if isinstance(layer, nn.Conv2d)]
            shape = Kind(
                slices,
                layers[0].kernel_size[0],
                layers[0].dilation[0],
                type(operation) is SeparableConvolution,
                group.spans(self.channels, self.nothing),
            )
            self.kinds.append((shape, group, tuple(norms), tuple(pick(layer) for layer in layers)))
        else:
            self.unknown.append(group)
            return
        self.eps = norms[0].eps if norms else self.eps

    def _suits(self, norm: nn.BatchNorm2d) -> bool:
        """Say whether a batch norm is one of those that are folded."""
        plain = not norm.affine and norm.eps == (self.eps or norm.eps) and norm.training == self.training
        return plain and (self.training or norm.running_mean is not None)

    def evaluated(self, x: Tensor, stride: int, weights: Tensor, targets: int) -> Tensor:
        """Return the sums [N, targets C, H', W'] of everything known in eval mode; arguments as in :meth:`sums`."""
        shared = [Shared((pool,), len(group.slices)) for pool, group, _ in self.pools]
        constants = [Constants(norm, group.slices) for _, group, norm in self.pools]
        tensors: list[Tensor] = []
        if self.halved is not None:
            group, halving, pointwise = self.halved
            shared.append(Shared((), len(group.slices)))
            constants.append(Constants(halving, group.slices))
            tensors.append(pointwise)
        for _, group, norms, its in self.kinds:
            constants += [Constants(norm, group.slices) for norm in norms]
            tensors += its
        kinds = tuple(kind for kind, _, _, _ in self.kinds)
        spec = Spec(stride, targets, bool(self.identity), tuple(shared), kinds, self.eps or 0.0)
        x = x.contiguous(memory_format=torch.channels_last)
        return EvalPass(spec, x, weights[_index(self.index)], tensors, constants).evaluate()

    def sums(self, x: Tensor, stride: int, weights: Tensor, masks: Tensor | None, targets: int) -> Tensor:
        """Return the sums [N, targets C, H', W'] of everything known, and move the running statistics.

        Args:
            x: the node's state.
            stride: of the operations.
            weights: the flattened mixing with a zero behind it.
            masks: of dropped paths, [N, as many as weights], or None.
            targets: how many sums.
        """
        shared = [Shared(tuple(kind for kind, _, _ in self.pools), len(self.pools))] if self.pools else []
        tensors: list[Tensor] = []
        if self.halved is not None:
            shared.append(Shared((), len(self.halved[0].slices)))
            tensors.append(self.halved[2])
        for _, _, _, its in self.kinds:
            tensors += its
        kinds = tuple(kind for kind, _, _, _ in self.kinds)
        spec = Spec(stride, targets, bool(self.identity), tuple(shared), kinds, self.eps or 0.0)
        moments = Moments()
        x = x.contiguous(memory_format=torch.channels_last)
        index = _index(self.index)
        masks = None if masks is None else masks[:, index]
        out: Tensor = Leaving.apply(spec, moments, masks, x, weights[index], *tensors)  # type: ignore[no-untyped-call]
        self._track(moments, out.shape[0] * out.shape[2] * out.shape[3])
        return out

    @torch.no_grad()
    def _track(self, moments: Moments, pixels: int) -> None:
        """Move the running statistics of the slices that ran."""
        correction = pixels / (pixels - 1)
        found = iter(moments.shared)
        if self.pools:
            mean, variance = next(found)
            for index, (_, group, norm) in enumerate(self.pools):
                _move(norm, group.slices, mean[index], variance[index] * correction)
        if self.halved is not None:
            mean, variance = next(found)
            _move(self.halved[1], self.halved[0].slices, mean, variance * correction)
        at, inner_at = 0, 0
        last, inner = (
            None if each is None else (each[0], each[1] * correction) for each in (moments.last, moments.inner)
        )
        for kind, group, norms, _ in self.kinds:
            assert last is not None
            here = slice(at, at + kind.slices)
            _move(norms[-1], group.slices, last[0][here], last[1][here])
            at += kind.slices
            if kind.separable:
                assert inner is not None
                here = slice(inner_at, inner_at + kind.slices)
                _move(norms[0], group.slices, inner[0][here], inner[1][here])
                inner_at += kind.slices


@lru_cache(maxsize=4096)
def _index(entries: tuple[tuple[int, ...], ...]) -> Tensor:
    return torch.tensor(entries)


def _move(norm: nn.BatchNorm2d, slices: tuple[int, ...], mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics [all slices, C] of the slices that ran, as the batch norm itself does."""
    if not (norm.training and norm.track_running_stats) or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    every = len(slices) == norm.running_mean.shape[0]
    at = slice(None) if every else list(slices)
    norm.num_batches_tracked[at] += 1
    share: Tensor | float
    if norm.momentum is None:  # the plain average of all batches
        share = 1.0 / norm.num_batches_tracked[at].to(mean.dtype).unsqueeze(1)
    else:
        share = norm.momentum
    for running, now in ((norm.running_mean, mean), (norm.running_var, variance)):
        if every and isinstance(share, float):
            running.lerp_(now.expand_as(running), share)
        else:
            running[at] += share * (now - running[at])
