"""How much memory a step needs: what autograd keeps for the backward, and the most that is alive at once; counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["peak_bytes", "saved_bytes"]


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


def peak_bytes(work: Callable[[], object]) -> int:
    """Count the most bytes of tensors, made while a piece of work runs, that are alive at the same time.

    What a kernel needs for itself while it runs is not seen, and of memory that an allocator keeps nothing is known.

    Args:
        work: forward and backward, say; its result is dropped.
    """
    counts = _Alive()
    with counts:
        work()
    return counts.peak


class _Alive(TorchDispatchMode):
    """Within it every new storage is counted until it is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.seen: dict[int, tuple[ref[torch.UntypedStorage], int]] = {}  # by the storage's own address

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_address(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and (at := _address(each)) not in given and at not in self.seen:
                storage = each.untyped_storage()
                self.seen[at] = ref(storage, lambda _, at=at: self._freed(at)), storage.nbytes()  # type: ignore[misc]
                self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        return result

    def _freed(self, at: int) -> None:
        self.now -= self.seen.pop(at)[1]


def _address(tensor: Tensor) -> int:
    """Return what tells one storage from another while both are alive."""
    return int(tensor.untyped_storage()._cdata)
