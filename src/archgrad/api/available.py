"""``available``: what there is of each kind, one line each."""

from __future__ import annotations

import inspect
from typing import Any

from archgrad import registry
from archgrad.errors import unknown
from archgrad.published import names

__all__ = ["KINDS", "available"]

_PARTS = {
    "recipes": "recipe",
    "spaces": "space",
    "data": "data",
    "relaxations": "relaxation",
    "layouts": "layout",
    "schedules": "schedule",
    "hypergradients": "hypergradient",
    "penalties": "penalty",
    "derivations": "derivation",
    "growths": "growth",
    "morphisms": "morphism",
    "perturbations": "perturbation",
}

KINDS = tuple(dict.fromkeys(("recipes", "spaces", "operations", "data", "published", *_PARTS)))
"""What can be asked for: what most people look for, then the parts that ``--set`` swaps."""

_OPERATIONS = {
    "none": "no connection",
    "max_pool_3x3": "3x3 maximum pooling",
    "avg_pool_3x3": "3x3 average pooling, padding not counted",
    "skip_connect": "the input as it is; two shifted 1x1 convolutions where the sides are halved",
    "sep_conv_3x3": "3x3 separable convolution, twice: ReLU, depthwise, pointwise, batch norm",
    "sep_conv_5x5": "5x5 separable convolution, twice: ReLU, depthwise, pointwise, batch norm",
    "dil_conv_3x3": "3x3 depthwise convolution of dilation 2 (sees 5x5), pointwise, batch norm",
    "dil_conv_5x5": "5x5 depthwise convolution of dilation 2 (sees 9x9), pointwise, batch norm",
    "sep_conv_7x7": "7x7 separable convolution, twice: ReLU, depthwise, pointwise, batch norm",
    "conv_7x1_1x7": "ReLU, convolution over 7 pixels of a row, then over 7 of a column, batch norm",
    "conv_1x1": "ReLU, plain 1x1 convolution, batch norm",
    "conv_3x3": "ReLU, plain 3x3 convolution, batch norm",
}

_PUBLISHED = {
    "DARTS_V1": "DARTS, first order: cells for images found on CIFAR-10",
    "DARTS_V2": "DARTS, second order: cells for images found on CIFAR-10",
    "SNAS_MILD": "SNAS under a mild resource constraint: cells for images",
    "SNAS_MODERATE": "SNAS under a moderate resource constraint: cells for images",
    "SNAS_AGGRESSIVE": "SNAS under an aggressive resource constraint: cells for images",
    "DARTS_RNN_V1": "DARTS, first order: a recurrent cell found on the Penn Treebank",
    "DARTS_RNN_V2": "DARTS, second order: a recurrent cell found on the Penn Treebank",
}


def available(kind: str) -> dict[str, str]:
    """Return what there is of one kind, registered parts of your own among it.

    Args:
        kind: one of :data:`KINDS`: "recipes", "spaces", "operations", "data", "published", or a kind of part.

    Returns:
        Name -> one line that says what it is, in the order of their names; operations and published cells as they are
        listed in the papers.

    Raises:
        InputError: no such kind.
    """
    if kind == "published":
        return {name: _PUBLISHED.get(name, "") for name in names()}
    if kind == "operations":
        from archgrad.network.modules import OPERATIONS

        return {name: _OPERATIONS.get(name) or _first_line(make) for name, make in OPERATIONS.items()}
    if kind not in _PARTS:
        raise unknown("kind", kind, KINDS)
    part = _PARTS[kind]
    return {name: _describe(registry.get(part, name)) for name in registry.names(part)}


def _describe(target: Any) -> str:
    """Return a recipe's summary, or the first line of what a part's documentation says."""
    summary = getattr(target, "summary", None)
    return summary if isinstance(summary, str) else _first_line(target)


def _first_line(target: Any) -> str:
    return (inspect.getdoc(target) or "").partition("\n")[0].rstrip(".")
