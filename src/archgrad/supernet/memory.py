"""How much memory a step needs: bytes that autograd saves for the backward, counted and not guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["saved_bytes"]


def saved_bytes(forward: Callable[[], Tensor], known: Iterable[Tensor] = ()) -> int:
    """Count the bytes of distinct storages that a forward keeps alive for its backward.

    Args:
        forward: runs once; its result is held while counting, as a training step would.
        known: tensors that exist anyway (parameters, buffers, the input) and do not count.
    """
    storages: dict[int, int] = {}
    alive: list[Any] = []  # storages must not be freed while counting, or an address could be counted twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    for tensor in known:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    del result
    return sum(storages.values())
