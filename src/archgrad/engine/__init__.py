"""The search itself: the loop, when and with which gradient the choices learn, derivation, state."""

from archgrad.engine.derivations.argmax import ArgmaxPerEdge
from archgrad.engine.derivations.darts_pt import PerturbationSelection
from archgrad.engine.derivations.derive import Derivation, TopEdges, derive
from archgrad.engine.derivations.evolution import Evolution
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.engine.derivations.sampling import BestOfRandom
from archgrad.engine.growing.growth import Growth
from archgrad.engine.growing.online import Watch
from archgrad.engine.hypergradient import Bilevel, FirstOrder, Hypergradient, Unrolled
from archgrad.engine.penalties.admm import Admm
from archgrad.engine.penalties.anchor import Anchor
from archgrad.engine.penalties.beta_decay import BetaDecay
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.engine.penalties.proximity import Proximity
from archgrad.engine.penalties.resource import Resource
from archgrad.engine.penalties.threshold import ThresholdPressure
from archgrad.engine.perturbation import RandomPerturbation
from archgrad.engine.schedules.informed import Informed
from archgrad.engine.schedules.reinforce import Reinforce
from archgrad.engine.schedules.schedule import Always, Every, Joint, Never, Schedule

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
