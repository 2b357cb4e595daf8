"""The fast evaluation of cells whose candidates are plain convolutions, poolings without norm and skips.

Three facts make it cheaper than the reference, with the library's own differentiable kernels on any device: what leaves
a node reads the same ReLU and the same pooled map; the convolutions of one kind are one convolution with their outputs
side by side; and w BN(y) is a batch norm with the scale w, so a mixing's weight costs nothing. Operations that it does
not know go the reference's way beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.choices.mixing import Mixing
from archgrad.network.modules import Convolution, Pool
from archgrad.space.cells import CellSpace
from archgrad.supernet.plan import Plan, Row
from archgrad.supernet.reference import closed, path_masks
from archgrad.supernet.storage import Bank, CellStorage, StackedBank

__all__ = ["evaluate_cell", "suits"]

PLAIN = frozenset({"none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3", "max_pool_3x3"})


def suits(cell: CellSpace) -> bool:
    """Say whether a cell's candidates are all of the plain kind, so that this way is the faster one."""
    return PLAIN.issuperset(cell.operations) and not cell.pool_norm


def evaluate_cell(
    plan: Plan,
    storage: CellStorage,
    inputs: Sequence[Tensor],
    mixing: Mixing,
    norms: Sequence[Callable[[Tensor], Tensor]],
    stride: int,
    drop: float = 0.0,
) -> list[Tensor]:
    """Compute what :func:`archgrad.supernet.reference.evaluate_cell` computes, with the same arguments."""
    states, totals = list(inputs), dict[int, Tensor]()
    masks = path_masks(plan, drop, inputs[0])
    of_row = {row: index for index, row in enumerate(plan.rows)}
    for source in range(len(inputs) + len(norms)):
        if source >= len(inputs):
            states.append(closed(totals.pop(source, None), norms[source - len(inputs)], inputs[0], stride))
        x, positive = states[source], None
        for operation, rows in _leaving(plan, source):
            bank = storage.bank(source, operation)
            mask = None if masks is None else masks[[of_row[row] for row in rows]].t()
            if _is_convolution(bank) and len({row.slice for row in rows}) == len(rows):
                positive = functional.relu(x) if positive is None else positive
                terms = _convolved(cast(StackedBank, bank), rows, positive, mixing.weights, mask)
                for row, term in zip(rows, terms, strict=True):
                    totals[row.target] = totals[row.target] + term if row.target in totals else term
                continue
            features = _features(bank, rows, x)
            for position, row in enumerate(rows):
                feature, weight = features[row.slice], mixing.weights[row.edge, row.candidate]
                if mask is not None and feature is not x:
                    feature = feature * mask[:, position, None, None, None]
                total = totals.get(row.target)
                totals[row.target] = weight * feature if total is None else torch.addcmul(total, feature, weight)
    return states[len(inputs) :]


@lru_cache(maxsize=4096)
def _leaving(plan: Plan, source: int) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """Return the rows that leave a node by their operation, slices ascending."""
    mine = [row for row in plan.rows if row.source == source]
    return tuple(
        (operation, tuple(sorted((row for row in mine if row.operation == operation), key=lambda row: row.slice)))
        for operation in dict.fromkeys(row.operation for row in mine)
    )


def _is_convolution(bank: Bank) -> bool:
    """Say whether a bank holds convolutions that can run side by side; a plain average of statistics cannot."""
    if not isinstance(bank, StackedBank) or type(bank.operation) is not Convolution:
        return False
    norm = cast(nn.BatchNorm2d, bank.operation[2])
    return not norm.affine and norm.momentum is not None


def _features(bank: Bank, rows: Sequence[Row], x: Tensor) -> dict[int, Tensor]:
    """Run an operation the reference's way, by slice: once for all of them where they have no weights."""
    slices = dict.fromkeys(row.slice for row in rows)
    bank.bind(slices)
    operation = bank.operation if isinstance(bank, StackedBank) else None
    alike = type(operation) is nn.Identity or (type(operation) is Pool and type(operation.norm) is nn.Identity)
    if alike:
        once = bank.run(rows[0].slice, x)
        features = dict.fromkeys(slices, once)
    else:
        features = {index: bank.run(index, x) for index in slices}
    bank.release()
    return features


def _convolved(
    bank: StackedBank, rows: Sequence[Row], positive: Tensor, weights: Tensor, mask: Tensor | None
) -> Sequence[Tensor]:
    """Return w BN(K relu(x)) of several slices [N, C, H', W'] each, from one convolution and one batch norm.

    Args:
        bank: of a :class:`archgrad.network.modules.Convolution`.
        rows: one a slice.
        positive: relu(x), [N, C, H, W].
        weights: of the mixing.
        mask: which examples each row is dropped for, [N, rows], or None.
    """
    convolution, norm = cast(nn.Conv2d, bank.operation[1]), cast(nn.BatchNorm2d, bank.operation[2])  # type: ignore[index]
    at = [row.slice for row in rows]
    every = len(at) == bank.slices
    kernels = convolution.weight if every else convolution.weight[at]
    y = functional.conv2d(
        positive, kernels.flatten(0, 1), None, convolution.stride, convolution.padding, convolution.dilation
    )
    channels = kernels.shape[1]
    scale = weights[[row.edge for row in rows], [row.candidate for row in rows]].repeat_interleave(channels)
    z = _normalised(norm, at, every, y, scale)
    if mask is not None:
        z = z * mask.repeat_interleave(channels, dim=1)[:, :, None, None]
    terms: Sequence[Tensor] = z.split(channels, dim=1)
    return terms


def _normalised(norm: nn.BatchNorm2d, at: list[int], every: bool, y: Tensor, scale: Tensor) -> Tensor:
    """Return the batch norm of y [N, slices C, H, W] with a scale [slices C]; running statistics [all slices, C] move.

    Args:
        norm: as the storage holds it, its statistics stacked.
        at: the slices.
        every: whether they are all slices.
        y: side by side.
        scale: of every channel.
    """
    tracking = norm.training and norm.track_running_stats
    if (norm.training and not tracking) or norm.running_mean is None or norm.running_var is None:
        return functional.batch_norm(y, None, None, scale, None, True, 0.0, norm.eps)
    stacks = norm.running_mean, norm.running_var
    mean, variance = (stack.view(-1) if every else stack[at].flatten() for stack in stacks)
    out = functional.batch_norm(y, mean, variance, scale, None, norm.training, norm.momentum or 0.0, norm.eps)
    if tracking:
        with torch.no_grad():
            if not every:
                for stack, moved in zip(stacks, (mean, variance), strict=True):
                    stack[at] = moved.view(len(at), -1)
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked[at] += 1
    return out
