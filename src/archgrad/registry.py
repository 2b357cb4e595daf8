"""Every named part, one line each: a new idea is one file and one line here.

The table is data (kind -> name -> "module:attribute"), so listing what exists imports nothing; users add their own
with :func:`register`, from Python or from a module given with ``--plugin``.
"""

from __future__ import annotations

import importlib
from typing import Any

from archgrad.errors import InputError, unknown

__all__ = ["PARTS", "get", "names", "register"]

PARTS: dict[str, dict[str, Any]] = {
    "recipe": {
        "beta-darts": "archgrad.recipes.beta_darts:BETA_DARTS",
        "constrained": "archgrad.recipes.constrained:CONSTRAINED",
        "constrained-admm": "archgrad.recipes.constrained:CONSTRAINED_ADMM",
        "darts": "archgrad.recipes.darts:DARTS",
        "darts-es": "archgrad.recipes.darts_es:DARTS_ES",
        "darts-minus": "archgrad.recipes.darts_minus:DARTS_MINUS",
        "darts-prime": "archgrad.recipes.constrained:DARTS_PRIME",
        "darts-pt": "archgrad.recipes.darts_pt:DARTS_PT",
        "darts-second-order": "archgrad.recipes.darts:DARTS_SECOND_ORDER",
        "drnas": "archgrad.recipes.drnas:DRNAS",
        "entrannas": "archgrad.recipes.entrannas:ENTRANNAS",
        "entrannas-dst": "archgrad.recipes.entrannas:ENTRANNAS_DST",
        "evolution-shared": "archgrad.recipes.controls:EVOLUTION_SHARED",
        "gdas": "archgrad.recipes.gdas:GDAS",
        "growing": "archgrad.recipes.growing:GROWING",
        "growing-prune": "archgrad.recipes.growing:GROWING_PRUNE",
        "pc-darts": "archgrad.recipes.pc_darts:PC_DARTS",
        "random": "archgrad.recipes.random_cells:RANDOM",
        "random-shared": "archgrad.recipes.controls:RANDOM_SHARED",
        "reinforce": "archgrad.recipes.reinforce:REINFORCE",
        "sdarts-rs": "archgrad.recipes.sdarts:SDARTS_RS",
        "snas": "archgrad.recipes.snas:SNAS",
        "snas-aggressive": "archgrad.recipes.snas:SNAS_AGGRESSIVE",
        "snas-mild": "archgrad.recipes.snas:SNAS_MILD",
        "snas-moderate": "archgrad.recipes.snas:SNAS_MODERATE",
    },
    "space": {
        "darts": "archgrad.space.darts:DartsSpace",
        "darts-rnn": "archgrad.space.darts_rnn:DartsRnnSpace",
        "extended": "archgrad.space.extended:ExtendedSpace",
        "nasbench201": "archgrad.space.nasbench201:NasBench201Space",
        "two-input-rnn": "archgrad.space.two_input_rnn:TwoInputRnnSpace",
    },
    "relaxation": {
        "clipped": "archgrad.choices.clipped:Clipped",
        "concrete": "archgrad.choices.concrete:Concrete",
        "dirichlet": "archgrad.choices.dirichlet:Dirichlet",
        "softmax": "archgrad.choices.softmax:Softmax",
        "sparse": "archgrad.choices.sparse:Sparse",
    },
    "layout": {
        "all-engines": "archgrad.supernet.layout:AllEngines",
        "engines-at": "archgrad.supernet.layout:EnginesAt",
        "sample-per-layer": "archgrad.supernet.layout:SamplePerLayer",
    },
    "schedule": {
        "always": "archgrad.engine.schedules.schedule:Always",
        "every": "archgrad.engine.schedules.schedule:Every",
        "informed": "archgrad.engine.schedules.informed:Informed",
        "joint": "archgrad.engine.schedules.schedule:Joint",
        "never": "archgrad.engine.schedules.schedule:Never",
        "reinforce": "archgrad.engine.schedules.reinforce:Reinforce",
    },
    "hypergradient": {
        "first-order": "archgrad.engine.hypergradient:FirstOrder",
        "unrolled": "archgrad.engine.hypergradient:Unrolled",
    },
    "penalty": {
        "admm": "archgrad.engine.penalties.admm:Admm",
        "anchor": "archgrad.engine.penalties.anchor:Anchor",
        "beta-decay": "archgrad.engine.penalties.beta_decay:BetaDecay",
        "proximity": "archgrad.engine.penalties.proximity:Proximity",
        "resource": "archgrad.engine.penalties.resource:Resource",
        "threshold-pressure": "archgrad.engine.penalties.threshold:ThresholdPressure",
    },
    "perturbation": {
        "random": "archgrad.engine.perturbation:RandomPerturbation",
    },
    "derivation": {
        "argmax-per-edge": "archgrad.engine.derivations.argmax:ArgmaxPerEdge",
        "best-of-random": "archgrad.engine.derivations.sampling:BestOfRandom",
        "darts-pt": "archgrad.engine.derivations.darts_pt:PerturbationSelection",
        "evolution": "archgrad.engine.derivations.evolution:Evolution",
        "non-zero": "archgrad.engine.derivations.nonzero:NonZero",
        "top-edges": "archgrad.engine.derivations.derive:TopEdges",
    },
    "growth": {
        "network-morphism": "archgrad.engine.growing.growth:Growth",
    },
    "morphism": {
        "candidate": "archgrad.engine.growing.morphisms:new_candidate",
        "cell": "archgrad.engine.growing.morphisms:one_more_cell",
        "hadamard": "archgrad.engine.growing.morphisms:hadamard",
        "node": "archgrad.engine.growing.morphisms:new_node",
        "split": "archgrad.engine.growing.morphisms:edge_split",
        "wider": "archgrad.engine.growing.morphisms:wider",
    },
    "data": {
        "csv": "archgrad.tasks.series_csv:load_csv",
        "digits": "archgrad.tasks.digits:load_digits",
        "cifar10": "archgrad.tasks.cifar10:load_cifar10",
        "hf": "archgrad.tasks.hugging_face:load_hugging_face",
        "imagefolder": "archgrad.tasks.imagefolder:load_imagefolder",
        "macro": "archgrad.tasks.series_macro:load_macro",
        "pydoc": "archgrad.tasks.text_pydoc:load_pydoc",
        "text": "archgrad.tasks.text_files:load_text",
    },
}


def names(kind: str) -> tuple[str, ...]:
    """Return the names registered for one kind, sorted.

    Raises:
        InputError: the kind does not exist.
    """
    if kind not in PARTS:
        raise unknown("kind of part", kind, PARTS)
    return tuple(sorted(PARTS[kind]))


def get(kind: str, name: str, where: str = "") -> Any:
    """Return the object registered under a name, importing its module on first use.

    Args:
        kind: one of the keys of :data:`PARTS`.
        name: the registered name.
        where: where the name was read, for the message.

    Raises:
        InputError: the kind or the name does not exist; the message shows the nearest match.
    """
    if name not in names(kind):
        raise unknown(kind, name, names(kind), where)
    target = PARTS[kind][name]
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        target = getattr(importlib.import_module(module), attribute)
        PARTS[kind][name] = target
    return target


def register(kind: str, name: str, target: Any) -> None:
    """Add a part of the user's own under a name.

    Args:
        kind: one of the keys of :data:`PARTS`.
        name: the name it gets in recipes, ``--set`` and ``archgrad list``.
        target: the object itself, or "module:attribute".

    Raises:
        InputError: the kind does not exist, or the name is taken.
    """
    if name in names(kind):
        raise InputError(f"There is a {kind} '{name}' already; choose another name.")
    PARTS[kind][name] = target
