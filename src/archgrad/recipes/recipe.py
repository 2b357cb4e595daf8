"""What a recipe is: a name, a citation, and the settings in which it differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A named composition.

    Args:
        name: what it is called on the command line.
        summary: one line for ``archgrad list recipes``.
        citation: the paper to cite.
        settings: a layer of settings over the defaults of :class:`archgrad.runs.config.SearchConfig`.
        keeps_epochs: whether a comparison leaves it its own number of epochs, since more of them change nothing.
    """

    name: str
    summary: str
    citation: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    keeps_epochs: bool = False
