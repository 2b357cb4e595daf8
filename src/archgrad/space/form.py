"""The form of a growing supernet: its cells, its layers, its width, and what of it is still young."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from archgrad.space.cells import Space
from archgrad.space.skeleton import Layer

__all__ = ["Form", "resized"]


@dataclass(frozen=True)
class Form:
    """What a supernet is built from; a search that grows has one after another, and a checkpoint holds its own.

    Args:
        space: the cells as they are now.
        layers: of a stack, in order; empty for a cell over time.
        width: hidden units of a cell over time; 0 for a stack, whose layers say it.
        young_nodes: computed nodes of a cell over time, counted from 0, that a gate still keeps out of its output.
        young_layers: layers of a stack that a gate still bypasses.
    """

    space: Space
    layers: tuple[Layer, ...] = ()
    width: int = 0
    young_nodes: tuple[int, ...] = ()
    young_layers: tuple[int, ...] = ()

    @property
    def nodes(self) -> int:
        """Computed nodes of the largest cell."""
        return max(cell.nodes for cell in self.space.cells.values())

    @property
    def grown_up(self) -> Form:
        """The same form with nothing young left."""
        return replace(self, young_nodes=(), young_layers=())

    def to_dict(self) -> dict[str, Any]:
        """Return what of it may change, as plain data; :meth:`from_dict` needs the space of the settings besides."""
        return {
            "cells": {
                kind: {"nodes": cell.nodes, "operations": list(cell.operations)}
                for kind, cell in self.space.cells.items()
            },
            "layers": [list(astuple(layer)) for layer in self.layers],
            "width": self.width,
            "young_nodes": list(self.young_nodes),
            "young_layers": list(self.young_layers),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], space: Space) -> Form:
        """Return the form that :meth:`to_dict` wrote.

        Args:
            plain: what it wrote.
            space: as the settings describe it; it gives all that never grows.
        """
        cells = {
            kind: replace(cell, nodes=plain["cells"][kind]["nodes"], operations=(*plain["cells"][kind]["operations"],))
            for kind, cell in space.cells.items()
        }
        return cls(
            replace(space, cells=cells),
            tuple(Layer(*fields) for fields in plain["layers"]),
            plain["width"],
            tuple(plain["young_nodes"]),
            tuple(plain["young_layers"]),
        )


def resized(space: Space, nodes: int) -> Space:
    """Return a space whose cells have so many computed nodes, combiners' tables included."""
    return replace(space, cells={kind: replace(cell, nodes=nodes) for kind, cell in space.cells.items()})
