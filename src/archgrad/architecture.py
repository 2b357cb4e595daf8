"""Architecture: the discrete result of a search, and its file form (schema 1)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archgrad.errors import InputError, RunError, nearest, several

__all__ = ["SCHEMA", "Architecture", "Cell", "Edge"]

SCHEMA = 1
OUTPUT_COMBINES = ("concat", "mean", "last", "learned")
COMBINES = ("add", "multiply")


@dataclass(frozen=True)
class Edge:
    """One operation from an earlier node to a later one; ``operand`` ("a" or "b") only in two-input cells."""

    source: int
    target: int
    operation: str
    operand: str | None = None


@dataclass(frozen=True)
class Cell:
    """A fixed cell: ``inputs`` nodes first (0, 1, ...), then ``nodes`` computed ones; edges sorted by target.

    Args:
        inputs: number of input nodes.
        nodes: number of computed nodes; one may have any number of incoming edges, none too.
        edges: the connections; one pair of nodes may carry several operations.
        output: nodes that are joined into the output.
        output_combine: "concat", "mean", "last" or "learned".
        weights: one factor per edge, or None for plain sums.
        combine: two-input cells: "add" or "multiply" for each computed node.
    """

    inputs: int
    nodes: int
    edges: tuple[Edge, ...]
    output: tuple[int, ...]
    output_combine: str = "concat"
    weights: tuple[float, ...] | None = None
    combine: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the cell as plain data."""
        edges = [
            [edge.source, edge.target, edge.operation, *([edge.operand] if edge.operand else [])] for edge in self.edges
        ]
        plain: dict[str, Any] = {
            "inputs": self.inputs,
            "nodes": self.nodes,
            "edges": edges,
            "output": list(self.output),
            "output_combine": self.output_combine,
        }
        if self.weights is not None:
            plain["weights"] = [float(weight) for weight in self.weights]
        if self.combine is not None:
            plain["combine"] = list(self.combine)
        return plain


@dataclass(frozen=True)
class Architecture:
    """What a search found: a fixed cell of every kind.

    Args:
        space: name of the space it belongs to.
        cells: cell kind -> cell.
        network: ``pool_norm`` (batch norm after pooling) and ``node_norm`` (batch norm on every node's sum).
        made_by: recipe, seed and version, or anything else that says where it comes from.
    """

    space: str
    cells: Mapping[str, Cell]
    network: Mapping[str, bool] = field(default_factory=lambda: {"pool_norm": False, "node_norm": False})
    made_by: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of architecture.json as plain data, names in alphabetical order."""
        return {
            "schema": SCHEMA,
            "space": self.space,
            "cells": {kind: self.cells[kind].to_dict() for kind in sorted(self.cells)},
            "network": _ordered(self.network),
            "made_by": _ordered(self.made_by),
        }

    def to_json(self) -> str:
        """Return the text of architecture.json; equal architectures give equal text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write architecture.json.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            Path(path).write_text(self.to_json(), encoding="utf-8")
        except OSError as error:
            raise RunError(f"Cannot write the architecture to {path}: {error.strerror}.") from error

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Read architecture.json.

        Raises:
            InputError: missing, not JSON, or not an architecture; the message says where.
        """
        try:
            plain = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
        except OSError as error:
            raise InputError(f"Cannot read the architecture {path}: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not a JSON file: {error}.") from error
        return cls.from_dict(plain, where=str(path))

    @classmethod
    def from_dict(cls, plain: Any, where: str = "architecture") -> Architecture:
        """Build an architecture from plain data and check it.

        Args:
            plain: the object of architecture.json.
            where: what to call it in messages.

        Raises:
            InputError: every problem found, each with its place.
        """
        if not isinstance(plain, dict):
            raise InputError(f"{where} must be a JSON object with schema, space and cells.")
        if plain.get("schema") != SCHEMA:
            raise InputError(
                f"{where} has schema {plain.get('schema')!r}; this version reads schema {SCHEMA}. "
                "Derive it again with this version, or use the version that wrote it."
            )
        problems: list[str] = []
        operations = _operations_of(plain.get("space"), problems)
        cells = plain.get("cells")
        if not isinstance(cells, dict) or not cells:
            problems.append("cells must be an object with one cell per kind")
            cells = {}
        parsed = {kind: _parse_cell(cell, f"cells.{kind}", operations, problems) for kind, cell in cells.items()}
        network, made_by = plain.get("network", {}), plain.get("made_by", {})
        for name, value in (("network", network), ("made_by", made_by)):
            if not isinstance(value, dict):
                problems.append(f"{name} must be an object")
        for name, value in network.items() if isinstance(network, dict) else ():
            if not isinstance(value, bool):
                problems.append(f"network.{name} is {value!r}; it must be true or false")
        if problems:
            raise several(f"{where} is not a valid architecture", problems)
        flags = {"pool_norm": False, "node_norm": False, **network}
        return cls(str(plain["space"]), {k: c for k, c in parsed.items() if c}, flags, made_by)


def _ordered(value: Any) -> Any:
    """Return a copy of plain data with the names of every object in alphabetical order."""
    if isinstance(value, Mapping):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's reader takes and JSON does not know."""
    raise ValueError(f"{name} is no JSON number")


def _is_finite(value: Any) -> bool:
    """Say whether it is a number that a float can hold; NaN compares as False."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _operations_of(space: Any, problems: list[str]) -> tuple[str, ...]:
    """Return the operations that a space's architectures may name; an unknown space is a problem."""
    from archgrad import registry

    if space not in registry.names("space"):
        match = nearest(str(space), registry.names("space"))
        hint = f" (did you mean '{match}'?)" if match else ""
        problems.append(f"space '{space}' is unknown{hint}; allowed: {', '.join(registry.names('space'))}")
        return ()
    names: tuple[str, ...] = registry.get("space", str(space)).known_operations()
    return names


def _parse_cell(plain: Any, where: str, operations: tuple[str, ...], problems: list[str]) -> Cell | None:
    """Check one cell; problems are added with their place."""
    if not isinstance(plain, dict):
        problems.append(f"{where} must be an object")
        return None
    before = len(problems)
    inputs, nodes = plain.get("inputs"), plain.get("nodes")
    for name, value in (("inputs", inputs), ("nodes", nodes)):
        if type(value) is not int or value < 1:
            problems.append(f"{where}.{name} is {value!r}; it must be a whole number of at least 1")
    edges, output = plain.get("edges"), plain.get("output")
    combine, weights = plain.get("combine"), plain.get("weights")
    output_combine = plain.get("output_combine", "concat")
    if not isinstance(edges, list) or not isinstance(output, list):
        problems.append(f"{where} needs the lists edges and output")
    if len(problems) > before:
        return None
    last = inputs + nodes - 1  # type: ignore[operator]
    parsed = [
        _parse_edge(edge, f"{where}.edges[{k}]", inputs, last, operations, problems)  # type: ignore[arg-type]
        for k, edge in enumerate(edges)  # type: ignore[arg-type]
    ]
    if not output or any(type(node) is not int or not 0 <= node <= last for node in output):
        problems.append(f"{where}.output is {output}; it must name nodes from 0 to {last}")
    if output_combine not in OUTPUT_COMBINES:
        problems.append(f"{where}.output_combine '{output_combine}' is unknown; allowed: {', '.join(OUTPUT_COMBINES)}")
    if weights is not None and (
        not isinstance(weights, list) or len(weights) != len(parsed) or not all(_is_finite(w) for w in weights)
    ):
        problems.append(f"{where}.weights must be one finite number for each of the {len(parsed)} edges")
    if combine is not None and (
        not isinstance(combine, list) or len(combine) != nodes or any(c not in COMBINES for c in combine)
    ):
        problems.append(f"{where}.combine must be one of {', '.join(COMBINES)} for each of the {nodes} nodes")
    if len(problems) > before:
        return None
    return Cell(
        inputs=inputs,  # type: ignore[arg-type]
        nodes=nodes,  # type: ignore[arg-type]
        edges=tuple(edge for edge in parsed if edge),
        output=tuple(output),  # type: ignore[arg-type]
        output_combine=output_combine,
        weights=None if weights is None else tuple(float(w) for w in weights),
        combine=None if combine is None else tuple(combine),
    )


def _parse_edge(
    edge: Any, where: str, inputs: int, last: int, operations: tuple[str, ...], problems: list[str]
) -> Edge | None:
    """Check one edge [source, target, operation] or [source, target, operation, operand]."""
    if not isinstance(edge, list) or len(edge) not in (3, 4) or not isinstance(edge[2], str):
        problems.append(f'{where} is {edge!r}; it must be [source, target, "operation"]')
        return None
    source, target, operation = edge[:3]
    if type(source) is not int or type(target) is not int:
        problems.append(f"{where}: source and target must be node numbers")
        return None
    if not inputs <= target <= last:
        problems.append(f"{where}: target {target} is not a computed node ({inputs} to {last})")
    if not 0 <= source < target:
        problems.append(f"{where}: source {source} is not before its target {target}")
    if operations and operation not in operations:
        match = nearest(operation, operations)
        hint = f" (did you mean '{match}'?)" if match else ""
        problems.append(f"{where}: operation '{operation}' is unknown{hint}; allowed: {', '.join(operations)}")
    operand = edge[3] if len(edge) == 4 else None
    if operand not in (None, "a", "b"):
        problems.append(f'{where}: operand {operand!r} must be "a" or "b"')
    return Edge(source, target, operation, operand)
