"""A nested state taken apart into plain JSON and named tensors, and put together again, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["Tree", "join", "split"]

Tree = Any
"""Nested dict, list and tuple of str, int, float, bool, None and :class:`torch.Tensor`."""

_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def split(tree: Tree) -> tuple[Any, dict[str, Tensor]]:
    """Take a tree apart.

    Places that hold the same tensor (same storage, shape and strides) share one entry, and share it again after
    :func:`join`; tensors that merely overlap become separate ones.

    Args:
        tree: the state. Keys of a dict may be anything hashable that a tree may hold.

    Returns:
        JSON data with references, and the tensors by key, dense, contiguous, on the CPU and without shared memory.

    Raises:
        TypeError: something in it cannot be kept; the message says where.
    """
    splitter = _Splitter()
    return splitter.split(tree, "state"), splitter.tensors


class _Splitter:
    """The tensors met so far on one walk through a tree."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._keys: dict[tuple[Any, ...], str] = {}
        self._storages: set[int] = set()

    def split(self, tree: Tree, where: str) -> Any:
        """Return a tree as JSON data with references."""
        if tree is None or isinstance(tree, (bool, str)):
            return tree
        if isinstance(tree, int):
            return int(tree)
        if isinstance(tree, float):
            return float(tree) if math.isfinite(tree) else {"$float": str(float(tree))}
        if isinstance(tree, Tensor):
            return {"$tensor": self.keep(tree, where)}
        if isinstance(tree, (list, tuple)):
            items = [self.split(item, f"{where}.{index}") for index, item in enumerate(tree)]
            return items if isinstance(tree, list) else {"$tuple": items}
        if isinstance(tree, dict):
            items = [(key, self.split(item, f"{where}.{key}")) for key, item in tree.items()]
            if all(type(key) is str and not key.startswith("$") for key in tree):
                return dict(items)
            # JSON knows string keys only; an optimiser's state is keyed by numbers.
            return {"$dict": [[self.split(key, where), item] for key, item in items]}
        raise TypeError(f"A checkpoint cannot keep {where}, which is a {type(tree).__name__}.")

    def keep(self, tensor: Tensor, where: str) -> str:
        """Store one tensor unless it is there already, and return its key."""
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
            raise TypeError(f"A checkpoint cannot keep {where}: only dense tensors with data can be written.")
        if tensor.dtype in (torch.complex32, torch.complex128):
            raise TypeError(f"A checkpoint cannot keep {where}: safetensors has no {tensor.dtype}.")
        plain = tensor.detach().resolve_conj().resolve_neg()
        address = (plain.data_ptr(), plain.device, plain.dtype, plain.shape, plain.stride())
        if plain.numel() and address in self._keys:
            return self._keys[address]
        key = where
        while key in self.tensors:  # two places can print alike, such as the keys 1 and "1"
            key += "'"
        self._keys[address] = key
        plain = plain.cpu().contiguous()
        if plain.untyped_storage().data_ptr() in self._storages:
            plain = plain.clone()  # safetensors refuses memory that two tensors share
        self._storages.add(plain.untyped_storage().data_ptr())
        self.tensors[key] = plain
        return key


def join(data: Any, tensors: dict[str, Tensor]) -> Tree:
    """Put a tree together again: the inverse of :func:`split`.

    Raises:
        ValueError: the data has a shape that :func:`split` never writes, or refers to a tensor that is not there.
    """
    if isinstance(data, list):
        return [join(item, tensors) for item in data]
    if not isinstance(data, dict):
        return data
    mark = next(iter(data), "")
    if not mark.startswith("$"):
        return {key: join(item, tensors) for key, item in data.items()}
    content = data[mark]
    try:
        match mark:
            case "$tensor":
                return tensors[content]
            case "$tuple":
                return tuple(join(item, tensors) for item in content)
            case "$float":
                return _FLOATS[content]
            case "$dict":
                return {join(key, tensors): join(item, tensors) for key, item in content}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{mark} refers to {content!r:.80}, which is not there") from error
    raise ValueError(f"{mark} is not known")
