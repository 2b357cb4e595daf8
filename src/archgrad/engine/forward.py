"""What surrounds one forward of a supernet: its precision, its statistics, its dropout masks, who is in the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from archgrad.choices import Mixing
from archgrad.supernet.image import frozen_statistics

__all__ = ["out_of_the_graph", "same_dropout", "supernet_output"]


def supernet_output(
    supernet: nn.Module,
    x: Tensor,
    mixings: Sequence[Mapping[str, Mixing]],
    handed: Sequence[Tensor],
    *,
    weights: Mapping[str, Tensor] | None = None,
    precision: str = "fp32",
    track_statistics: bool = False,
) -> Any:
    """Return what a supernet in training makes of a micro-batch, in single precision.

    Args:
        supernet: put into training mode if it is not.
        x: inputs of the micro-batch.
        mixings: one mapping a layer.
        handed: what the micro-batch before it hands on, such as the state behind a text.
        weights: by name, in place of the supernet's own.
        precision: "fp32", or "bf16" for autocast.
        track_statistics: whether batch norms write their statistics.
    """
    if not supernet.training:  # telling its thousands of modules takes a twentieth of a small step
        supernet.train()
    cast = torch.autocast(x.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    statistics = nullcontext() if track_statistics else frozen_statistics(supernet)
    with cast, statistics:
        inputs = (x, mixings, *handed)
        output = supernet(*inputs) if weights is None else functional_call(supernet, dict(weights), inputs)
    return output.float() if precision == "bf16" else output


@contextmanager
def out_of_the_graph(weights: Iterable[Tensor]) -> Iterator[None]:
    """Keep weights that nobody asked for out of the graph: a choice step neither saves nor computes for them."""
    held = [weight for weight in weights if weight.requires_grad]
    for weight in held:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in held:
            weight.requires_grad_(True)


@contextmanager
def same_dropout(seed: int, device: torch.device) -> Iterator[None]:
    """Draw the dropout masks of a seed, the same in every forward, and leave the global generators alone."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
