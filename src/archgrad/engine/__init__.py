"""The search itself: the loop, when and with which gradient the choices learn, derivation, state."""

from archgrad.engine.admm import Admm
from archgrad.engine.anchor import Anchor
from archgrad.engine.argmax import ArgmaxPerEdge
from archgrad.engine.beta_decay import BetaDecay
from archgrad.engine.darts_pt import PerturbationSelection
from archgrad.engine.derive import Derivation, TopEdges, derive
from archgrad.engine.evolution import Evolution
from archgrad.engine.growth import Growth
from archgrad.engine.hypergradient import Bilevel, FirstOrder, Hypergradient, Unrolled
from archgrad.engine.informed import Informed
from archgrad.engine.nonzero import NonZero
from archgrad.engine.online import Watch
from archgrad.engine.penalty import Penalty, View
from archgrad.engine.perturbation import RandomPerturbation
from archgrad.engine.proximity import Proximity
from archgrad.engine.reinforce import Reinforce
from archgrad.engine.resource import Resource
from archgrad.engine.sampling import BestOfRandom
from archgrad.engine.schedule import Always, Every, Joint, Never, Schedule
from archgrad.engine.threshold import ThresholdPressure

__all__ = [
    "Admm",
    "Always",
    "Anchor",
    "ArgmaxPerEdge",
    "BestOfRandom",
    "BetaDecay",
    "Bilevel",
    "Derivation",
    "Every",
    "Evolution",
    "FirstOrder",
    "Growth",
    "Hypergradient",
    "Informed",
    "Joint",
    "Never",
    "NonZero",
    "Penalty",
    "PerturbationSelection",
    "Proximity",
    "RandomPerturbation",
    "Reinforce",
    "Resource",
    "Schedule",
    "ThresholdPressure",
    "TopEdges",
    "Unrolled",
    "View",
    "Watch",
    "derive",
]
