"""From the banks of a node to what leaves it: operations sorted by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from archgrad.network.modules import DilatedConvolution, FactorizedReduce, Pool, SeparableConvolution
from archgrad.supernet.fast.folded import Span, packed
from archgrad.supernet.leaving.eval_mode import Constants, EvalPass
from archgrad.supernet.leaving.function import Leaving
from archgrad.supernet.leaving.spec import Kind, Moments, Shared, Spec
from archgrad.supernet.leaving.statistics import Statistics
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

    def evaluated(self, x: Tensor, stride: int, weights: Tensor) -> Tensor:
        """Return the sums [N, targets C, H', W'] of everything known in eval mode; arguments as in :meth:`sums`."""
        shared = tuple(Shared((pool,), len(group.slices)) for pool, group, _ in self.pools)
        constants = [Constants(norm, group.slices) for _, group, norm in self.pools]
        if self.halved is not None:
            constants.append(Constants(self.halved[1], self.halved[0].slices))
        for _, group, norms, _ in self.kinds:
            constants += [Constants(norm, group.slices) for norm in norms]
        spec, tensors = self._described(shared, stride, weights.shape[1])
        x = x.contiguous(memory_format=torch.channels_last)
        return EvalPass(spec, x, weights, tensors, constants).evaluate()

    def sums(self, x: Tensor, stride: int, weights: Tensor, masks: Tensor | None, statistics: Statistics) -> Tensor:
        """Return the sums [N, targets C, H', W'] of everything known, and note what batch norms find.

        Args:
            x: the node's state.
            stride: of the operations.
            weights: of the rows in :attr:`index`, [rows, targets].
            masks: of dropped paths, [N, rows, targets], or None.
            statistics: where means and variances are noted.
        """
        pools = (Shared(tuple(kind for kind, _, _ in self.pools), len(self.pools)),) if self.pools else ()
        spec, tensors = self._described(pools, stride, weights.shape[1])
        moments = Moments()
        x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor = Leaving.apply(spec, moments, masks, x, weights, *tensors)  # type: ignore[no-untyped-call]
        self._note(moments, statistics)
        return out

    def _described(self, pools: tuple[Shared, ...], stride: int, targets: int) -> tuple[Spec, list[Tensor]]:
        """Return what leaves the node, and its tensors."""
        tensors: list[Tensor] = []
        shared = pools
        if self.halved is not None:
            shared = (*pools, Shared((), len(self.halved[0].slices)))
            tensors.append(self.halved[2])
        for _, _, _, its in self.kinds:
            tensors += its
        kinds = tuple(kind for kind, _, _, _ in self.kinds)
        return Spec(stride, targets, bool(self.identity), shared, kinds, self.eps or 0.0), tensors

    def _note(self, moments: Moments, statistics: Statistics) -> None:
        """Note means and variances of the slices that ran."""
        found = iter(moments.shared)
        if self.pools:
            mean, variance = next(found)
            for index, (_, group, norm) in enumerate(self.pools):
                statistics.note(norm, group.slices, mean[index : index + 1], variance[index : index + 1])
        if self.halved is not None:
            statistics.note(self.halved[1], self.halved[0].slices, *next(found))
        at, inner_at = 0, 0
        for kind, group, norms, _ in self.kinds:
            assert moments.last is not None
            last, at = at, at + kind.slices
            statistics.note(norms[-1], group.slices, *(each[last:at] for each in moments.last))
            if kind.separable:
                assert moments.inner is not None
                first, inner_at = inner_at, inner_at + kind.slices
                statistics.note(norms[0], group.slices, *(each[first:inner_at] for each in moments.inner))
