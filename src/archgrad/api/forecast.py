"""``search --dry-run``: sizes, and the memory that a search will need, before it starts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from archgrad.api.recorder import peak_memory_mb
from archgrad.api.settings import load_plugin, search_config
from archgrad.engine.problem import SearchProblem
from archgrad.engine.state import Batch
from archgrad.recipes.assemble import Assembled
from archgrad.recipes.recipe import Recipe
from archgrad.recipes.recurrent import is_recurrent_space
from archgrad.supernet.fast.cell import as_for_batch
from archgrad.supernet.memory import peak_bytes, saved_bytes

__all__ = ["forecast"]

PROBE = 4
"""Examples of the smaller of the two probes; bytes grow linearly from there."""

LIBRARIES_MB = 24.0
"""Code and buffers that torch and oneDNN first load in a step on a CPU; measured, see docs/speed.md."""

UNUSED = {"fast": 0.9, "reference": 0.2}
"""What the C library's allocator holds on a CPU without use, as a share of what a step needs; measured. Between the few
tensors that the fast evaluation keeps it makes and frees many, and holes remain; with mmap for every block there are
none."""


def forecast(recipe: str | Recipe | None = None, *, plugin: str | None = None, **given: Any) -> dict[str, Any]:
    """Return what a search would be: sizes of its parts and the memory of one weight step; nothing is written.

    The bytes that autograd saves, and the most that are alive at once in forward and backward, are counted at two small
    batches and continued to the whole one; weights, gradients and momentum add three times the weights' size. On a CPU
    the allocator holds more than is in use: :data:`UNUSED`. What is left out: scratch memory within single kernels.

    Args:
        recipe: as in :func:`archgrad.api.search.search`.
        plugin: a module to import first.
        **given: data, space, seed, epochs, device, config and settings, as in ``search``.

    Returns:
        Plain data: steps per epoch, weights, choices, examples per part, megabytes (MiB) for each use and in all.

    Raises:
        InputError: the words or the input are wrong.
    """
    load_plugin(plugin)
    # of a search that grows, its full size is what must fit
    config = search_config(recipe, **given).model_copy(update={"growth": None})
    data = given.get("data")
    ready = Assembled(config, own_data=None if data is None or isinstance(data, str) else data)
    state = ready.state
    batch = next(islice(ready.data.stream("weights"), 1))
    size = max(1, len(batch[0]) // config.weights.accumulate)
    weights = sum(weight.numel() * weight.element_size() for weight in state.weights.values())
    resident = peak_memory_mb()  # before the probes, whose memory the step will use again
    saved, peak = (found / 2**20 for found in _counted(ready, batch, size))
    permanent = 3 * weights / 2**20
    # the peak holds the weights' gradients already
    scratch = max(peak - saved - weights / 2**20, 0.0)
    unused = 0.0
    if batch[0].device.type == "cpu":
        unused = LIBRARIES_MB + UNUSED[config.supernet.evaluation] * (saved + scratch)
    sizes = ("hidden",) if is_recurrent_space(state.parts.space.name) else ("cells", "channels")
    return {
        "recipe": config.recipe,
        "space": state.parts.space.name,
        "data": config.data.spec,
        "examples": {part: ready.data.size(part) for part in ("weights", "choices", "validation", "train", "test")},
        "input_shape": list(ready.data.input_shape),
        "classes": len(ready.data.classes),
        "epochs": config.epochs,
        "steps_per_epoch": state.steps_per_epoch,
        **{name: getattr(config.supernet, name) for name in sizes},
        "batch": config.data.batch,
        "supernet_parameters": sum(weight.numel() for weight in state.weights.values()),
        "choice_parameters": sum(choice.numel() for choice in state.choices.parameters()),
        "memory_mb": {
            "weights_gradients_momentum": permanent,
            "saved_for_backward": saved,
            "scratch": scratch,
            "allocator": unused,
            "resident_before": resident,
            "total": resident + permanent + saved + scratch + unused,
        },
    }


def _counted(ready: Assembled, batch: Batch, size: int) -> tuple[float, float]:
    """Return what a weight step at ``size`` examples saves for its backward, and the most that it holds; in bytes."""
    state = ready.state
    known = [*state.supernet.parameters(), *state.supernet.buffers(), *state.choices.parameters()]
    weights, supernet = list(state.weights.values()), state.supernet.train()
    kept = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    sizes = [min(PROBE, size), min(2 * PROBE, size)]
    mixings = SearchProblem(state, {"train": batch}).view().mixings
    counts: list[tuple[int, int]] = []
    with as_for_batch(size):
        for count in sizes:
            x, y = batch[0][:count], batch[1][:count]

            def forward(x: Tensor = x, y: Tensor = y) -> Tensor:
                return state.parts.task.loss(supernet(x, mixings), y)

            def step(forward: Callable[[], Tensor] = forward) -> object:
                return torch.autograd.grad(forward(), weights, allow_unused=True)

            step()  # what is made once does not count
            counts.append((saved_bytes(forward, [*known, x, y]), peak_bytes(step)))
    for name, buffer in supernet.named_buffers():
        buffer.copy_(kept[name])
    if sizes[0] == sizes[1]:
        return counts[1]
    more = (size - sizes[1]) / (sizes[1] - sizes[0])
    saved, peak = (large + (large - little) * more for little, large in zip(*counts, strict=True))
    return saved, peak
