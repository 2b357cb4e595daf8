"""The gradients of tensors that every time step reads, added up in place.

Left to autograd, every time step would make the gradients of all matrices anew and a sum beside them: at 300 units that
is more memory traffic than their products take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["OverTime"]


class OverTime:
    """Sums that the backward passes of the time steps add to, and that end as the gradients of the shared tensors.

    A time step whose backward adds here returns no gradient for these tensors. One whose backward is differentiated
    again returns it as ever and adds nothing; both ways may meet.

    Args:
        count: number of tensors.
    """

    def __init__(self, count: int) -> None:
        self._sums: list[Tensor | None] = [None] * count
        self._run = -1

    def shared(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the tensors as the time steps are to read them: autograd asks for the sums after the last of these."""
        found: tuple[Tensor, ...] = _Shared.apply(self, *tensors) if tensors else ()  # type: ignore[no-untyped-call]
        return list(found)

    def add(self, index: int, gradient: Tensor) -> None:
        """Add to the gradient of a tensor; the argument may be kept and changed."""
        total = self._so_far()[index]
        self._sums[index] = gradient if total is None else total.add_(gradient)

    def add_products(self, first: int, state: Tensor, gradients: Sequence[Tensor]) -> None:
        """Add s' g_t to the gradients of W_t, [m, H, H], for the block ``first`` and those after it.

        Args:
            first: index of the tensor that holds W of the first block.
            state: s, [N, H].
            gradients: g_t of the products s W_t, [m, N, H] for every block.
        """
        before, sums = state.t().expand(len(gradients[0]), -1, -1), self._so_far()
        for index, gradient in enumerate(gradients, start=first):
            total = sums[index]
            if total is None:
                self._sums[index] = torch.bmm(before, gradient)
            else:
                total.baddbmm_(before, gradient)

    def _so_far(self) -> list[Tensor | None]:
        """Return the sums of the backward pass that runs; one before it need not have asked for its own."""
        run = torch._C._current_graph_task_id()
        if run != self._run:
            self._run, self._sums = run, [None] * len(self._sums)
        return self._sums

    def taken(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the sums of the backward pass that runs, and what autograd itself brought."""
        sums = self._so_far()
        self._sums = [None] * len(sums)
        return [
            given if total is None else total if given is None else total + given
            for total, given in zip(sums, gradients, strict=True)
        ]


class _Shared(torch.autograd.Function):
    """(sums, *tensors) -> the same tensors; autograd runs its backward when every reader's has run."""

    @staticmethod
    def forward(ctx: Any, sums: OverTime, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors."""
        ctx.sums = sums
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the sums over time."""
        return None, *ctx.sums.taken(gradients)
