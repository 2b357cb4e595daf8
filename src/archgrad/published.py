"""The cells that the papers' authors released, written down from their public code (facts, with their source).

DARTS: quark0/darts, cnn/genotypes.py and rnn/genotypes.py. SNAS: SNAS-Series, SNAS/genotypes.py (edges that are not
listed are ``none``; pooling is followed by batch norm in the evaluated network too).
"""

from __future__ import annotations

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.errors import unknown

__all__ = ["names", "published"]

_SHORT = {
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "skip": "skip_connect",
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
}

# name -> (normal cell, reduction cell); nodes 2 to 5 separated by ";", each "operation source" pair after another
_IMAGE_CELLS = {
    "DARTS_V1": (
        "sep3 1 sep3 0; skip 0 sep3 1; skip 0 sep3 1; sep3 0 skip 2",
        "max 0 max 1; skip 2 max 0; max 0 skip 2; skip 2 avg 0",
    ),
    "DARTS_V2": (
        "sep3 0 sep3 1; sep3 0 sep3 1; sep3 1 skip 0; skip 0 dil3 2",
        "max 0 max 1; skip 2 max 1; max 0 skip 2; skip 2 max 1",
    ),
    "SNAS_MILD": (
        "sep3 0 sep3 1; skip 0 dil3 1; skip 0 skip 1; skip 0 sep3 1",
        "max 0 max 1; max 1 skip 2; max 1 skip 2; max 0 dil5 2",
    ),
    "SNAS_MODERATE": (
        "dil5 0 skip 1; sep3 0 skip 1; skip 0 skip 1; sep3 0 dil5 1",
        "max 0 max 1; sep5 0 dil5 1; sep5 0 sep5 1; sep5 0 sep5 1",
    ),
    "SNAS_AGGRESSIVE": (
        "sep5 0 skip 1; skip 0 skip 1; dil5 1 skip 0; skip 0 dil5 1",
        "sep5 0; sep5 0; ;",
    ),
}

# name -> "activation predecessor" of nodes 1 to 8; node 0 merges the input and the previous hidden state
_RECURRENT_CELLS = {
    "DARTS_RNN_V1": "relu 0 relu 1 tanh 2 relu 3 relu 4 identity 1 relu 5 relu 1",
    "DARTS_RNN_V2": "sigmoid 0 relu 1 relu 1 identity 1 tanh 2 sigmoid 5 tanh 3 relu 5",
}


def names() -> tuple[str, ...]:
    """Return the names of all published cells."""
    return (*_IMAGE_CELLS, *_RECURRENT_CELLS)


def published(name: str) -> Architecture:
    """Return a published cell as an :class:`Architecture`.

    Args:
        name: one of :func:`names`.

    Raises:
        InputError: no such cell.
    """
    made_by = {"published": name}
    if name in _IMAGE_CELLS:
        normal, reduce = (_image_cell(text) for text in _IMAGE_CELLS[name])
        flags = {"pool_norm": name.startswith("SNAS"), "node_norm": False}
        return Architecture("darts", {"normal": normal, "reduce": reduce}, flags, made_by)
    if name in _RECURRENT_CELLS:
        words = _RECURRENT_CELLS[name].split()
        edges = tuple(
            Edge(int(source), node, activation)
            for node, (activation, source) in enumerate(zip(words[::2], words[1::2], strict=True), start=1)
        )
        cell = Cell(inputs=1, nodes=8, edges=edges, output=tuple(range(1, 9)), output_combine="mean")
        return Architecture("darts-rnn", {"recurrent": cell}, {"pool_norm": False, "node_norm": False}, made_by)
    raise unknown("published cell", name, names())


def _image_cell(text: str) -> Cell:
    edges = []
    for node, part in enumerate(text.split(";"), start=2):
        words = part.split()
        edges += [Edge(int(source), node, _SHORT[op]) for op, source in zip(words[::2], words[1::2], strict=True)]
    edges.sort(key=lambda edge: (edge.target, edge.source))
    return Cell(inputs=2, nodes=4, edges=tuple(edges), output=(2, 3, 4, 5))
