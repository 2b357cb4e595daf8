"""The search itself: the loop, when and with which gradient the choices learn, derivation, state."""

from archgrad.engine.derive import Derivation, TopEdges, derive
from archgrad.engine.hypergradient import Bilevel, FirstOrder, Hypergradient, Unrolled
from archgrad.engine.penalty import Penalty, View
from archgrad.engine.schedule import Always, Every, Never, Schedule

__all__ = [
    "Always",
    "Bilevel",
    "Derivation",
    "Every",
    "FirstOrder",
    "Hypergradient",
    "Never",
    "Penalty",
    "Schedule",
    "TopEdges",
    "Unrolled",
    "View",
    "derive",
]
