"""Recurrent cells in plain numpy, written from the papers' formulas and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

F: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
}
sigmoid = F["sigmoid"]


def highway_step(x: Array, h: Array, w0: Array, ws: list[Array], edges: dict[int, list[tuple[int, str]]]) -> Array:
    """One step of a DARTS-RNN cell: mean of the nodes behind node 0."""
    units = h.shape[1]
    c0, g0 = np.split(np.hstack([x, h]) @ w0, [units], axis=1)
    states = [h + sigmoid(c0) * (np.tanh(g0) - h)]
    for node in sorted(edges):
        terms = []
        for source, name in edges[node]:
            c, g = np.split(states[source] @ ws[node - 1], [units], axis=1)
            terms.append(states[source] + sigmoid(c) * (F[name](g) - states[source]))
        states.append(np.mean(terms, axis=0))
    return np.asarray(np.mean(states[1:], axis=0))


def two_input_step(
    x: Array,
    h: Array,
    wx: Array,
    wh: Array,
    ws: dict[str, Array],
    edges: dict[str, list[tuple[int, str]]],
    combine: list[str],
) -> Array:
    """One step of a two-input cell: mean of the computed nodes."""
    states = [x @ wx, h @ wh]
    for node, how in enumerate(combine, start=2):
        u, v = (
            np.mean([F[name](states[source] @ ws[key]) for source, name in edges[key]], axis=0)
            for key in (f"{node}a", f"{node}b")
        )
        states.append(u + v if how == "add" else u * v)
    return np.asarray(np.mean(states[2:], axis=0))
