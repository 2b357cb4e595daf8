"""What a piece of work launches, counted: the same on every machine, however busy; not a benchmark by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Counted", "counted"]


class Counted(TorchDispatchMode):
    """Within it every operation that reaches torch's kernels is counted, those of the backward too.

    Attributes:
        kernels: operation -> how often it ran, without those that only look at memory in another way.
        views: how many of the latter.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: Counter[str] = Counter()
        self.views = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = [each.alias_info for each in func._schema.returns]
        if returned and all(alias is not None and not alias.is_write for alias in returned):
            self.views += 1
        else:
            self.kernels[str(func)] += 1
        return func(*args, **(kwargs or {}))


def counted(work: Callable[[], object]) -> Counted:
    """Run a piece of work once and return its counts."""
    counts = Counted()
    with counts:
        work()
    return counts
