"""Carrying tensors over into a supernet that has grown: one mechanism for weights, statistics, choices and optimisers.

A move says for every dimension of a grown tensor which entry before each entry comes from. Which moves a growth step
asks for follows from its :class:`~archgrad.space.change.Change`, see :mod:`archgrad.supernet.grown.names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from archgrad.space.change import NEW, Axis

__all__ = ["Move", "carried", "carried_memory"]


@dataclass(frozen=True)
class Move:
    """Where a grown tensor comes from.

    Args:
        source: name of the tensor before.
        axes: one for each of the first dimensions; dimensions without one stay as they are.
        zero: whether new entries are 0, so that they change nothing; as freshly made otherwise.
    """

    source: str
    axes: tuple[Axis, ...] = ()
    zero: bool = False


def carried(fresh: Tensor, old: Tensor, move: Move) -> Tensor:
    """Return the grown tensor.

    Args:
        fresh: a new tensor of its shape.
        old: the tensor before.
        move: what comes from where.
    """
    return _carried(torch.zeros_like(fresh) if move.zero else fresh.detach().clone(), old, move.axes)


def carried_memory(memory: Mapping[str, Any], old: Tensor, fresh: Tensor, move: Move) -> dict[str, Any]:
    """Return what an optimiser remembers of a grown tensor: old entries keep it, copies and new ones have none.

    Args:
        memory: of the tensor before: moments of its shape, and counts.
        old: the tensor before.
        fresh: a new tensor of the grown shape.
        move: what comes from where.
    """
    axes = tuple(
        Axis.from_places(tuple(place if own else NEW for place, own in zip(axis.of, axis.own, strict=True)))
        for axis in move.axes
    )
    return {
        key: _carried(torch.zeros_like(fresh, dtype=value.dtype), value, axes)
        if isinstance(value, Tensor) and value.shape == old.shape and value.dim()
        else value
        for key, value in memory.items()
    }


def _carried(result: Tensor, old: Tensor, axes: tuple[Axis, ...]) -> Tensor:
    """Write the old entries into the places where they are found again."""
    taken, places = old.detach(), []
    for dimension, axis in enumerate(axes):
        here = [place for place, of in enumerate(axis.of) if of != NEW]
        chosen = torch.tensor([axis.of[place] for place in here], device=old.device).long()
        taken = taken.index_select(dimension, chosen)
        if axis.share is not None:
            shape = [-1 if each == dimension else 1 for each in range(taken.dim())]
            factors = torch.tensor([axis.share[place] for place in here], dtype=taken.dtype, device=taken.device)
            taken = taken * factors.view(shape)
        places.append(torch.tensor(here, device=old.device).long())
    if not axes:
        return result.copy_(taken)
    grid = torch.meshgrid(*places, indexing="ij") if len(places) > 1 else places
    result[tuple(grid)] = taken.to(result)
    return result
