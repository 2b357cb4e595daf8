"""What a piece of work launches, counted: the same on every machine, however busy; not a benchmark by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Counted", "counted"]

ALLOCATE = ("aten.empty", "aten.new_empty")


class Counted(TorchDispatchMode):
    """Within it every operation that reaches torch's kernels is counted, those of the backward too.

    Attributes:
        kernels: operation -> how often it ran, without those that only look at memory in another way.
        views: how many of the latter.
        bytes: that the kernels read and write, each of their tensors once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: Counter[str] = Counter()
        self.views = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = [each.alias_info for each in func._schema.returns]
        views = bool(returned) and all(alias is not None and not alias.is_write for alias in returned)
        if views:
            self.views += 1
        else:
            self.kernels[str(func)] += 1
        result = func(*args, **(kwargs or {}))
        if not views and not str(func).startswith(ALLOCATE):
            tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)]
            self.bytes += sum({id(each): each.numel() * each.element_size() for each in tensors}.values())
        return result


def counted(work: Callable[[], object]) -> Counted:
    """Run a piece of work once and return its counts."""
    counts = Counted()
    with counts:
        work()
    return counts
