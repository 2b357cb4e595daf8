"""Mixed recurrent cells in plain numpy, written from the papers' formulas and from nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tests.network.recurrent_by_hand import Array, F, sigmoid

from archgrad.choices import Mixing

NAMES = ("none", "tanh", "relu", "sigmoid", "identity")


def table(mixing: Mixing) -> Array:
    found: Array = mixing.weights.detach().numpy() * np.array(mixing.support)
    return found


def normalised(x: Array) -> Array:
    """Batch norm without scale and offset."""
    return np.asarray((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5))


def average(total: Array, weight: float) -> Array:
    return total / max(1.0, weight)


def mixed_highway_step(x: Array, h: Array, w0: Array, w: Array, p: Array, norm: Callable[[Array], Array]) -> Array:
    """One step: s_i averages p (s_j + c (f(h) - s_j)) over all earlier nodes and all activations but none."""
    units = h.shape[1]
    c0, g0 = np.split(np.hstack([x, h]) @ w0, [units], axis=1)
    states, row = [norm(h + sigmoid(c0) * (np.tanh(g0) - h))], 0
    for node in range(len(w)):
        total, weight = np.zeros_like(h), 0.0
        for state in states:
            c, g = np.split(state @ w[node], [units], axis=1)
            for column, name in enumerate(NAMES[1:], start=1):
                total = total + p[row, column] * (state + sigmoid(c) * (F[name](g) - state))
                weight += p[row, column]
            row += 1
        states.append(norm(average(total, weight)))
    return np.asarray(np.mean(states[1:], axis=0))


def mixed_two_input_step(
    x: Array, h: Array, wx: Array, wh: Array, w: Array, p: Array, omega: Array, norm: Callable[[Array], Array]
) -> Array:
    """One step: s_i = omega_add (u + v) + omega_mul u v, u and v averages of p f(s_j W)."""
    states, row = [x @ wx, h @ wh], 0
    for node in range(len(w) // 2):
        operands = []
        for place in (2 * node, 2 * node + 1):
            total, weight = np.zeros_like(h), 0.0
            for state in states:
                for column, name in enumerate(NAMES[1:], start=1):
                    total = total + p[row, column] * F[name](state @ w[place])
                    weight += p[row, column]
                row += 1
            operands.append(average(total, weight))
        u, v = operands
        states.append(norm(omega[node, 0] * (u + v) + omega[node, 1] * u * v))
    return np.asarray(np.mean(states[2:], axis=0))
