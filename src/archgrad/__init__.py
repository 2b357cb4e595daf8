"""archgrad: find neural network architectures by gradient descent, get an ordinary trained PyTorch network back.

Nothing heavy is imported until it is used, so ``import archgrad`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archgrad._version import __version__ as __version__

# Bound at once, unlike the others: its module has the same name and would take its place when first imported.
from archgrad.published import published as published

if TYPE_CHECKING:
    from archgrad import choices as choices
    from archgrad import engine as engine
    from archgrad import space as space
    from archgrad import supernet as supernet
    from archgrad.api.available import available as available
    from archgrad.api.compare import CompareResult as CompareResult
    from archgrad.api.compare import compare as compare
    from archgrad.api.derive import derive as derive
    from archgrad.api.evaluate import evaluate as evaluate
    from archgrad.api.export import ExportResult as ExportResult
    from archgrad.api.export import export as export
    from archgrad.api.forecast import forecast as forecast
    from archgrad.api.latency import measure_latency as measure_latency
    from archgrad.api.latency import predict_latency as predict_latency
    from archgrad.api.online import OnlineResult as OnlineResult
    from archgrad.api.online import online as online
    from archgrad.api.predict import predict as predict
    from archgrad.api.report import report as report
    from archgrad.api.search import SearchResult as SearchResult
    from archgrad.api.search import search as search
    from archgrad.api.show import show as show
    from archgrad.api.train import TrainResult as TrainResult
    from archgrad.api.train import train as train
    from archgrad.architecture import Architecture as Architecture
    from archgrad.errors import ArchgradError as ArchgradError
    from archgrad.errors import InputError as InputError
    from archgrad.errors import RunError as RunError
    from archgrad.estimators import ArchClassifier as ArchClassifier
    from archgrad.estimators import ArchForecaster as ArchForecaster
    from archgrad.network.build import build as build
    from archgrad.network.build import count_flops as count_flops
    from archgrad.network.build import count_parameters as count_parameters
    from archgrad.recipes.recipe import Recipe as Recipe
    from archgrad.registry import register as register

_HOMES = {
    "ArchClassifier": "archgrad.estimators",
    "ArchForecaster": "archgrad.estimators",
    "Architecture": "archgrad.architecture",
    "ArchgradError": "archgrad.errors",
    "CompareResult": "archgrad.api.compare",
    "ExportResult": "archgrad.api.export",
    "InputError": "archgrad.errors",
    "OnlineResult": "archgrad.api.online",
    "Recipe": "archgrad.recipes.recipe",
    "RunError": "archgrad.errors",
    "SearchResult": "archgrad.api.search",
    "TrainResult": "archgrad.api.train",
    "available": "archgrad.api.available",
    "baselines": "archgrad.api.baselines",
    "build": "archgrad.network.build",
    "compare": "archgrad.api.compare",
    "count_flops": "archgrad.network.build",
    "count_parameters": "archgrad.network.build",
    "derive": "archgrad.api.derive",
    "evaluate": "archgrad.api.evaluate",
    "export": "archgrad.api.export",
    "forecast": "archgrad.api.forecast",
    "measure_latency": "archgrad.api.latency",
    "online": "archgrad.api.online",
    "predict": "archgrad.api.predict",
    "predict_latency": "archgrad.api.latency",
    "register": "archgrad.registry",
    "report": "archgrad.api.report",
    "search": "archgrad.api.search",
    "show": "archgrad.api.show",
    "train": "archgrad.api.train",
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
    return sorted([*_HOMES, *_ROOMS, "__version__", "published"])
