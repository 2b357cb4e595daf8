"""The running statistics that a cell's forward moves: noted while it runs, written together at its end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Statistics"]


class Statistics:
    """What the batch norms of a cell found in one forward.

    All of them see the same number of pixels, so lists of tensors go to the library in one call; a call for every batch
    norm would be a sixth of all that a small cell makes.
    """

    def __init__(self) -> None:
        self.found: list[tuple[nn.BatchNorm2d, Sequence[int], Tensor, Tensor]] = []

    def note(self, norm: nn.BatchNorm2d, slices: Sequence[int], mean: Tensor, variance: Tensor) -> None:
        """Keep what a batch norm found, if it keeps statistics at all.

        Args:
            norm: with statistics [all slices, C].
            slices: which of them ran, ascending.
            mean: of the batch, [slices, C], or [1, C] where all slices are equal.
            variance: biased, of the same shape.
        """
        if norm.training and norm.track_running_stats and norm.running_mean is not None:
            self.found.append((norm, slices, mean, variance))

    @torch.no_grad()
    def write(self, pixels: int) -> None:
        """Move the running statistics as the batch norms themselves do.

        Args:
            pixels: over which means and variances were taken; the running variance is the unbiased one.
        """
        if not self.found:
            return
        counts: list[Tensor] = []
        moved: dict[float | None, tuple[list[Tensor], list[Tensor], list[Tensor]]] = {}
        unbiased = torch._foreach_mul([variance for *_, variance in self.found], pixels / (pixels - 1))
        for (norm, slices, mean, _), variance in zip(self.found, unbiased, strict=True):
            assert norm.num_batches_tracked is not None
            times = _rows(norm.num_batches_tracked, slices)
            counts += times
            running, now, since = moved.setdefault(norm.momentum, ([], [], []))
            for stack, found in ((norm.running_mean, mean), (norm.running_var, variance)):
                assert stack is not None
                rows = _rows(stack, slices)
                running += rows
                whole = len(rows) == 1 and len(slices) == len(stack)
                now += [found.expand_as(stack)] if whole else [found[min(k, len(found) - 1)] for k in range(len(rows))]
                since += times
        torch._foreach_add_(counts, 1)
        for momentum, (running, now, since) in moved.items():
            if momentum is None:  # the plain average of all batches
                for row, new, count in zip(running, now, since, strict=True):
                    row.lerp_(new, (1.0 / count.to(row.dtype)).unsqueeze(-1))
            else:
                torch._foreach_lerp_(running, now, momentum)


def _rows(stack: Tensor, slices: Sequence[int]) -> list[Tensor]:
    """Return a stack in one piece if all its slices ran, or those that did."""
    return [stack] if len(slices) == len(stack) else [stack[index] for index in slices]
