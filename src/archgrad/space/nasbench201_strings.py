"""Names of the cells of NAS-Bench-201: architecture strings read and written, all of them, and which are isomorphic.

A string lists, for every computed node in order, ``operation~source`` of every earlier node:
``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``. An edge with ``none`` is no edge of an architecture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import product

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.errors import InputError, unknown
from archgrad.space.nasbench201 import NAME, NASBENCH201_OPERATIONS

__all__ = ["NAMES", "all_strings", "canonical", "is_string", "read_string", "string_of", "write_string"]

NAMES: Mapping[str, str] = {name: f"nor_{name}" if name.startswith("conv") else name for name in NASBENCH201_OPERATIONS}
"""Our name of an operation -> the benchmark's."""

_OURS = {theirs: ours for ours, theirs in NAMES.items()}
_NODE = re.compile(r"\|(?:[a-z0-9_]+~[0-9]+\|)+")
_FORM = "it is |operation~source|...| of every node, joined by +, such as |nor_conv_3x3~0|+|none~0|skip_connect~1|"


def is_string(text: object) -> bool:
    """Say whether something is meant as an architecture string: it begins with a bar, as no path or name does."""
    return str(text).lstrip().startswith("|")


def read_string(text: str) -> Architecture:
    """Return the architecture of a string; edges in the order of the space, whatever that of the string.

    Args:
        text: of any number of nodes; the benchmark's have 3.

    Raises:
        InputError: the string is malformed, an operation is unknown, or an edge is missing or named twice.
    """
    nodes = _operations(text)
    edges = tuple(
        Edge(source, target, _OURS[name])
        for target, names in enumerate(nodes, start=1)
        for source, name in enumerate(names)
        if name != "none"
    )
    cell = Cell(1, len(nodes), edges, (len(nodes),), "last")
    return Architecture(NAME, {"normal": cell}, made_by={"string": "+".join(_node(names) for names in nodes)})


def write_string(architecture: Architecture) -> str:
    """Return the string of an architecture; an edge that it lacks is ``none``.

    Raises:
        InputError: another space, or an edge carries several operations or a weight, which no string can say.
    """
    if architecture.space != NAME:
        raise InputError(
            f"The architecture is of the space {architecture.space}; only cells of {NAME} have architecture strings."
        )
    cell = architecture.cells["normal"]
    names: dict[tuple[int, int], str] = {}
    for edge in cell.edges:
        if (edge.source, edge.target) in names:
            raise InputError(
                f"The edge from node {edge.source} to node {edge.target} carries several operations; an architecture "
                "string holds one an edge."
            )
        names[edge.source, edge.target] = NAMES[edge.operation]
    if cell.weights is not None and set(cell.weights) - {1.0}:
        raise InputError("The cell has weights on its edges, which an architecture string cannot say.")
    return "+".join(
        _node([names.get((source, target), "none") for source in range(target)]) for target in range(1, cell.nodes + 1)
    )


def string_of(architecture: Architecture) -> str | None:
    """Return the string of an architecture, or None where it has none."""
    try:
        return write_string(architecture)
    except InputError:
        return None


def all_strings() -> Iterator[str]:
    """Yield the 15,625 strings of the benchmark's cells, the last edge's operation changing fastest."""
    names = tuple(NAMES.values())
    for a, b, c, d, e, f in product(names, repeat=6):
        yield f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def canonical(text: str) -> str:
    """Return the same text for isomorphic cells: what the last node computes, as the benchmark's authors write it.

    A skip connection is replaced by what it carries, what is multiplied by nothing becomes ``#``, and the terms of a
    sum are sorted (arXiv 2001.00326, section 2.1). By this rule there are 6,466 classes. It is cautious: sums inside of
    sums are not dissolved and zeros beside other terms stay, so some cells of different classes compute the same.

    Args:
        text: an architecture string.

    Raises:
        InputError: it is none.
    """
    values = ["0"]
    for names in _operations(text):
        terms = []
        for name, value in zip(names, values, strict=True):
            if name == "none" or value == "#":
                terms.append("#")
            else:
                terms.append(value if name == "skip_connect" else f"({value})@{name}")
        values.append("+".join(sorted(terms)))
    return values[-1]


def _node(names: Iterable[str]) -> str:
    return "|" + "|".join(f"{name}~{source}" for source, name in enumerate(names)) + "|"


def _operations(text: str) -> list[tuple[str, ...]]:
    """Return the benchmark's names of the operations on the edges of every computed node, by source."""
    try:
        return [_incoming(part, target) for target, part in enumerate(text.strip().split("+"), start=1)]
    except ValueError as error:
        raise InputError(f"'{text}' is no architecture string of NAS-Bench-201: {error}{_FORM}.") from None


@lru_cache(maxsize=1024)
def _incoming(part: str, target: int) -> tuple[str, ...]:
    """Return the names of the operations on the edges into one node, by source."""
    if not _NODE.fullmatch(part):
        raise ValueError
    pairs = [entry.split("~") for entry in part.strip("|").split("|")]
    found = {int(source): name for name, source in pairs}
    if len(pairs) != target or sorted(found) != list(range(target)):
        sources = ", ".join(str(source) for source in range(target))
        raise ValueError(f"node {target} must name each of its sources {sources} once; ")
    for name in found.values():
        if name not in _OURS:
            raise ValueError(f"{unknown('operation', name, _OURS)} ")
    return tuple(found[source] for source in range(target))
