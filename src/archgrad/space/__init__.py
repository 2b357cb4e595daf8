"""What may be found: cells with their nodes, edges and candidate operations, and the skeleton that stacks them."""

from __future__ import annotations

from typing import Any

from archgrad.space.cells import CellSpace, CombinerSpace, Space
from archgrad.space.skeleton import Layer, Skeleton, Stages, TimeSteps

__all__ = ["CellSpace", "CombinerSpace", "Layer", "Skeleton", "Space", "Stages", "TimeSteps", "get"]


def get(name: str, **options: Any) -> Space:
    """Build a named space.

    Args:
        name: a name that ``archgrad list spaces`` shows.
        **options: the space's own options, for ``darts``: none, nodes, operations.

    Raises:
        InputError: no such space or option.
    """
    from archgrad.runs.config import build_part

    builder = build_part("space", {"name": name, **options})
    space: Space = builder()
    return space
