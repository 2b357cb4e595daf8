"""What a search is worth at a moment: metrics of the supernet, and of the child that would be derived from it now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import torch
from torch import Tensor, nn

from archgrad.choices import Mixing, Progress
from archgrad.engine.derivations.derive import expected_mixings, project
from archgrad.engine.mixings import draw_noise, layer_mixings, transit_mixings
from archgrad.engine.state import Batch, SearchState
from archgrad.network.carried import handed_on, state_of
from archgrad.supernet.image import Mixings

__all__ = ["DRAWS", "child_mixings", "child_metrics", "evaluate_mixings", "reestimated_statistics", "supernet_metrics"]

DRAWS = 8
"""Draws over which the metrics of sampled mixings are averaged."""

STATISTICS_BATCHES = 20
"""Training batches from which a child's batch-norm statistics are estimated again."""


@contextmanager
def reestimated_statistics(
    supernet: nn.Module, mixings: Mixings | Callable[[], Mixings], batches: Iterable[Batch]
) -> Iterator[None]:
    """Within it the running statistics are those of these mixings; afterwards they are what they were before.

    A derived child sees other activations than the mixture that the statistics were collected on.

    Args:
        supernet: left in eval mode within.
        mixings: what the child runs, or a function that draws it for every batch.
        batches: training batches; their plain average becomes the statistics.
    """
    norms = [m for m in supernet.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
        supernet.train()
        with torch.no_grad():
            state: Tensor | None = None
            for done, (x, _) in enumerate(batches, start=1):
                for norm in norms:
                    norm.momentum = 1.0 / done  # the cumulative average, also where one norm serves several slices
                output = supernet(x, mixings() if callable(mixings) else mixings, *handed_on(state))
                state = state_of(output)
        supernet.eval()
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for name, buffer in supernet.named_buffers():
            buffer.copy_(kept[name])


def evaluate_mixings(state: SearchState, mixings: Mixings, batches: Iterable[Batch]) -> dict[str, float]:
    """Return the task's metrics of the supernet under the given mixings, in eval mode."""
    supernet = state.supernet.eval()
    with torch.no_grad():
        return state.parts.task.evaluate(lambda x, *handed: supernet(x, mixings, *handed), batches)


def supernet_metrics(state: SearchState, progress: Progress, part: str = "validation") -> dict[str, float]:
    """Return the metrics of the supernet with its relaxed mixing; for sampled mixings the mean of eight draws.

    The draws come from a generator of their own, so evaluating does not change what the search draws.
    """
    parts, seats = state.parts, state.seats
    generator = torch.Generator().manual_seed(parts.seed + 7919 * state.step)
    expected = expected_mixings(state.choices, parts.relaxation, progress)
    derived = transit_mixings(expected, project(expected, parts.derivation, parts.space))
    results: list[dict[str, float]] = []
    for _ in range(DRAWS):
        noise = draw_noise(state.choices, parts.relaxation, seats, generator)
        with torch.no_grad():
            mixings = layer_mixings(state.choices, parts.relaxation, progress, noise, seats, derived)
        results.append(evaluate_mixings(state, mixings, parts.data.once(part)))
        if all(entry is None for draw in noise for entry in draw.values()):
            break
    return {name: sum(result[name] for result in results) / len(results) for name in results[0]}


def child_mixings(state: SearchState, progress: Progress, weighted: bool = False) -> dict[str, Mixing]:
    """Return the mixings of the derived child: the derived support, with weights 1 or with the expected weights."""
    parts = state.parts
    expected = expected_mixings(state.choices, parts.relaxation, progress)
    child = transit_mixings(expected, project(expected, parts.derivation, parts.space))
    if not weighted:
        return child
    return {kind: Mixing(m.weights * expected[kind].weights.detach(), m.support) for kind, m in child.items()}


def child_metrics(state: SearchState, mixings: Mapping[str, Mixing], part: str = "validation") -> dict[str, float]:
    """Return the metrics of a child with inherited weights, statistics re-estimated on 20 training batches."""
    batches = islice(state.parts.data.stream("weights"), STATISTICS_BATCHES)
    with reestimated_statistics(state.supernet, mixings, batches):
        return evaluate_mixings(state, mixings, state.parts.data.once(part))
