"""From expected mixings to a fixed architecture: derivation rules and the one function that applies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.choices import Choices, Mixing, Progress, Relaxation, Support
from archgrad.choices.ramp import expected_of
from archgrad.engine.derivations.reach import chosen_combiners, with_inputs_read
from archgrad.errors import at_least_one
from archgrad.space.cells import CellSpace, Space

__all__ = ["Derivation", "TopEdges", "architecture_of", "derive", "expected_mixings", "kept", "project", "supports_of"]


class Derivation(Protocol):
    """A rule from an expected mixing to the 0/1 support that is kept."""

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return the derived support, rows x candidates.

        Args:
            mixing: an *expected* mixing, never a sample and never raw logits.
            cell: the graph and the names of the candidates.
        """
        ...


@dataclass(frozen=True)
class TopEdges:
    """DARTS section 2.4: per node the k edges whose strongest candidate is strongest, and that candidate of each.

    ``none`` never counts and is never kept. Equal weights: the earlier source, the earlier candidate.

    Args:
        k: edges kept per node (DARTS: 2 for images, 1 for recurrent cells).

    Raises:
        InputError: k is not positive.
    """

    k: int = 2

    def __post_init__(self) -> None:
        at_least_one("derivation", k=self.k)

    def __call__(self, mixing: Mixing, cell: CellSpace) -> Support:
        """Return the support with the best candidate of the k best edges of each node."""
        weights = mixing.weights.detach().double().cpu().tolist()
        best: dict[int, list[tuple[float, int, int]]] = {}
        for edge, target in enumerate(cell.groups):
            usable = [
                (-weights[edge][candidate], edge, candidate)
                for candidate, name in enumerate(cell.operations)
                if name != "none" and mixing.support[edge][candidate]
            ]
            if usable:
                best.setdefault(target, []).append(min(usable, key=lambda entry: (entry[0], entry[2])))
        kept = {(edge, candidate) for edges in best.values() for _, edge, candidate in sorted(edges)[: self.k]}
        return tuple(
            tuple((edge, candidate) in kept for candidate in range(len(cell.operations)))
            for edge in range(len(cell.edges))
        )


def expected_mixings(choices: Choices, relaxation: Relaxation, progress: Progress) -> dict[str, Mixing]:
    """Return the deterministic mixing of every cell kind: the only thing that decisions read."""
    return {kind: expected_of(relaxation, table, progress) for kind, table in choices.items()}


def kept(derivation: Derivation, mixing: Mixing, cell: CellSpace) -> Support:
    """Return what a rule keeps; where an edge carries one operation at most, the strongest of those that it keeps.

    Args:
        derivation: the rule.
        mixing: an expected mixing.
        cell: the graph and the names of the candidates.
    """
    support = derivation(mixing, cell)
    if not cell.single:
        return support
    weights = mixing.weights.detach().double().cpu().tolist()
    best = [
        max((k for k, keeps in enumerate(row) if keeps), key=lambda k: of[k], default=-1)
        for row, of in zip(support, weights, strict=True)
    ]
    return tuple(tuple(k == only for k in range(len(row))) for row, only in zip(support, best, strict=True))


def project(expected: Mapping[str, Mixing], derivation: Derivation, space: Space) -> dict[str, Support]:
    """Return the support of every cell kind that the rule would keep now.

    A node joins its operands in one way, so a combiner's row keeps its strongest candidate whatever the rule is; and
    the inputs that a cell must read are read.
    """
    strongest, combiners = TopEdges(k=1), space.combiners
    supports = {
        kind: kept(strongest if kind in combiners else derivation, mixing, space.cells[kind])
        for kind, mixing in expected.items()
    }
    return with_inputs_read(supports, expected, space)


def architecture_of(
    space: Space,
    supports: Mapping[str, Support],
    weights: Mapping[str, Mixing] | None = None,
    made_by: Mapping[str, Any] | None = None,
) -> Architecture:
    """Write supports down as an architecture; ``none`` is no edge.

    Args:
        space: the cells' graphs and candidates.
        supports: what is kept, by cell kind; of a combiner's row the first that is kept.
        weights: mixings whose weights become the edges' factors; plain sums when None. Combiners have none.
        made_by: recipe, seed, version.
    """
    cells, combiners = {}, space.combiners
    for kind, support in supports.items():
        cell = space.cells[kind]
        if kind in combiners:
            continue
        kept = [
            (Edge(source, target, name, operand), edge, candidate)
            for edge, ((source, target), operand) in enumerate(zip(cell.edges, cell.row_operands, strict=True))
            for candidate, name in enumerate(cell.operations)
            if support[edge][candidate] and name != "none"
        ]
        factors = None
        if weights is not None:
            matrix = weights[kind].weights.detach().double().cpu()
            factors = tuple(float(matrix[edge, candidate]) for _, edge, candidate in kept)
        edges = tuple(edge for edge, _, _ in kept)
        combine = None
        if cell.combiner is not None:
            combine = chosen_combiners(space.cells[cell.combiner], supports[cell.combiner])
        cells[kind] = Cell(cell.inputs, cell.nodes, edges, cell.output, cell.output_combine, factors, combine)
    return Architecture(space.name, cells, dict(space.network), dict(made_by or {}))


def supports_of(space: Space, architecture: Architecture) -> dict[str, Support]:
    """Return what an architecture keeps of its space, by cell kind: what :func:`architecture_of` was given.

    Args:
        space: the cells' graphs and candidates.
        architecture: of this space.
    """
    supports: dict[str, Support] = {}
    for kind, fixed in architecture.cells.items():
        cell = space.cells[kind]
        kept = {(edge.source, edge.target, edge.operand, edge.operation) for edge in fixed.edges}
        supports[kind] = tuple(
            tuple((source, target, operand, name) in kept for name in cell.operations)
            for (source, target), operand in zip(cell.edges, cell.row_operands, strict=True)
        )
        if cell.combiner is not None:
            names = space.cells[cell.combiner].operations
            supports[cell.combiner] = tuple(tuple(name == chosen for name in names) for chosen in fixed.combine or ())
    return supports


def derive(
    choices: Choices,
    relaxation: Relaxation,
    progress: Progress,
    derivation: Derivation,
    space: Space,
    made_by: Mapping[str, Any] | None = None,
) -> Architecture:
    """Derive the architecture that the choices stand for now."""
    return architecture_of(
        space, project(expected_mixings(choices, relaxation, progress), derivation, space), None, made_by
    )
