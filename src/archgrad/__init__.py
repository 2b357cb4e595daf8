"""archgrad: find neural network architectures by gradient descent, get an ordinary trained PyTorch network back.

Nothing is imported until it is used, so ``import archgrad`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archgrad._version import __version__ as __version__

if TYPE_CHECKING:
    from archgrad import choices as choices
    from archgrad import engine as engine
    from archgrad import space as space
    from archgrad import supernet as supernet
    from archgrad.api.search import SearchResult as SearchResult
    from archgrad.api.search import search as search
    from archgrad.architecture import Architecture as Architecture
    from archgrad.errors import ArchgradError as ArchgradError
    from archgrad.errors import InputError as InputError
    from archgrad.errors import RunError as RunError
    from archgrad.network.build import build as build
    from archgrad.network.build import count_flops as count_flops
    from archgrad.network.build import count_parameters as count_parameters
    from archgrad.published import published as published
    from archgrad.recipes.recipe import Recipe as Recipe
    from archgrad.registry import register as register

_HOMES = {
    "Architecture": "archgrad.architecture",
    "ArchgradError": "archgrad.errors",
    "InputError": "archgrad.errors",
    "Recipe": "archgrad.recipes.recipe",
    "RunError": "archgrad.errors",
    "SearchResult": "archgrad.api.search",
    "build": "archgrad.network.build",
    "count_flops": "archgrad.network.build",
    "count_parameters": "archgrad.network.build",
    "published": "archgrad.published",
    "register": "archgrad.registry",
    "search": "archgrad.api.search",
}
_ROOMS = ("choices", "engine", "space", "supernet")


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"archgrad.{name}")
    else:
        raise AttributeError(f"module 'archgrad' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*_HOMES, *_ROOMS, "__version__"])
