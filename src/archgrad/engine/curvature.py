"""How sharp the choices' loss is: the largest eigenvalue of its Hessian, and when its growth ends a search.

Zela, Elsken, Saikia, Marrakchi, Brox, Hutter: Understanding and Robustifying Differentiable Architecture Search. ICLR
2020, arXiv 1909.09656. Where the validation loss gets sharp in the choices, the derived cell falls far behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from archgrad.engine.derivations.selection import held_out
from archgrad.engine.problem import SearchProblem
from archgrad.engine.state import SearchState
from archgrad.supernet.image import by_reference

__all__ = ["FACTOR", "WINDOW", "choice_curvature", "choice_hessian", "largest_eigenvalue", "smoothed", "stopping_epoch"]

WINDOW = 5
"""k, epochs over which the eigenvalues are averaged and that the search goes back (section 4.3 of the paper)."""

FACTOR = 0.75
"""The search stops where the mean of k epochs ago is less than this share of the present one (the paper)."""

SEED = 67_867_967
"""Added to the search's seed, for the first vector."""


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], start: Tensor, iterations: int = 50, tolerance: float = 1e-3
) -> float:
    """Return the largest eigenvalue of a symmetric matrix by power iteration.

    v <- H v / |H v|, the eigenvalue is v' H v. Where the one of largest size is negative, a second iteration with
    H - lambda I finds the largest.

    Args:
        product: v -> H v.
        start: a vector that is not orthogonal to the eigenvector, such as a random one.
        iterations: at most, of each of both iterations.
        tolerance: relative change at which an iteration ends.
    """
    dominant = _dominant(product, start, iterations, tolerance)
    if dominant >= 0:
        return dominant
    return dominant + _dominant(lambda v: product(v) - dominant * v, start, iterations, tolerance)


def _dominant(product: Callable[[Tensor], Tensor], start: Tensor, iterations: int, tolerance: float) -> float:
    vector, value = start / torch.linalg.vector_norm(start), 0.0
    for _ in range(iterations):
        moved = product(vector)
        before, value = value, float(vector @ moved)
        norm = float(torch.linalg.vector_norm(moved))
        if norm == 0.0 or abs(value - before) <= tolerance * abs(value):
            break
        vector = moved / norm
    return value


def choice_hessian(state: SearchState) -> tuple[Callable[[Tensor], Tensor], int]:
    """Return v -> H v, H the Hessian of the choices' loss on one batch of their data, and the length of v.

    The products are exact: the gradient is computed once and differentiated again for every vector. What is random
    about the mixings is drawn as the next update will draw it; the search's generator is left as it was.

    Args:
        state: of the search; not changed.
    """
    before = state.generator.get_state()
    batch = held_out(state, 1)[0]
    problem = SearchProblem(state, {"train": batch, "validation": batch})
    state.generator.set_state(before)
    choices = problem.choices
    with by_reference(state.supernet):
        gradient = _flat(problem.gradient("validation", choices, create_graph=True))

    def product(vector: Tensor) -> Tensor:
        if not gradient.requires_grad:
            return torch.zeros_like(vector)
        found = torch.autograd.grad(gradient @ vector.to(gradient), choices, retain_graph=True, allow_unused=True)
        return _flat([torch.zeros_like(c) if g is None else g for g, c in zip(found, choices, strict=True)])

    return product, len(gradient)


def choice_curvature(state: SearchState, iterations: int = 20, tolerance: float = 1e-2) -> float:
    """Return the largest eigenvalue of the Hessian of the choices' loss on one batch of their data.

    Args:
        state: of the search; not changed.
        iterations: of the power iteration at most.
        tolerance: relative change at which it ends.
    """
    product, size = choice_hessian(state)
    draw = torch.Generator().manual_seed(state.parts.seed + SEED)
    like = next(iter(state.choices.parameters()))
    return largest_eigenvalue(product, torch.randn(size, generator=draw).to(like), iterations, tolerance)


def smoothed(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """Return for every epoch the mean over itself and the epochs before it, ``window`` in all."""
    return [sum(values[max(0, i + 1 - window) : i + 1]) / min(window, i + 1) for i in range(len(values))]


def stopping_epoch(history: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the epoch, counted from 1, to which a search goes back; None if it has no reason to stop.

    It stops after the first epoch i with mean(i - k) / mean(i) < 0.75 and goes back to i - k (DARTS-ES).

    Args:
        history: of every epoch, with its ``eigenvalue``; epochs without one are not looked at.
    """
    known = [entry for entry in history if entry.get("eigenvalue") is not None]
    means = smoothed([float(entry["eigenvalue"]) for entry in known])
    for i in range(WINDOW, len(means)):
        if means[i] > 0 and means[i - WINDOW] < FACTOR * means[i]:
            return int(known[i - WINDOW]["epoch"])
    return None


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
