"""Which parts cannot be combined, and why: one table for the error message and for the test of all other pairs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from archgrad.errors import several
from archgrad.runs.config import SearchConfig
from archgrad.runs.parts import PART_KINDS

__all__ = ["Part", "check_compatible", "incompatible", "parts_of"]

Part = tuple[str, str]
"""Kind and name of a part, as in the registry."""

_NEVER_ZERO = (
    "its weights are above zero everywhere, so this rule would leave nothing out; "
    "take relaxation=sparse or relaxation=clipped, or another derivation"
)
_NO_THRESHOLDS = "it has no thresholds to press on; relaxation=sparse has, or leave the penalty out"
_NO_CONCENTRATIONS = "its weights have no concentrations to hold; relaxation=dirichlet has, or leave the penalty out"
_NO_SAMPLES = "its mixings are no samples, so they have no policy gradient; relaxation=concrete or dirichlet draws some"
_NO_IMAGES = "it counts the operations of networks for images; leave the penalty out"

_FIXED_CELL = "its cells have one size, so nothing can grow; take space=darts or extended, or growth=null"

_REASONS: dict[frozenset[Part], str] = {
    frozenset(pair): reason
    for *pair, reason in (
        (("relaxation", "softmax"), ("derivation", "non-zero"), _NEVER_ZERO),
        (("relaxation", "concrete"), ("derivation", "non-zero"), _NEVER_ZERO),
        (("relaxation", "dirichlet"), ("derivation", "non-zero"), _NEVER_ZERO),
        (
            ("penalty", "anchor"),
            ("derivation", "non-zero"),
            "it holds the concentrations of relaxation=dirichlet, whose weights are never zero; take another "
            "derivation",
        ),
        (
            ("schedule", "reinforce"),
            ("derivation", "non-zero"),
            "it needs samples, whose expected weights are above zero everywhere; take another derivation",
        ),
        (
            ("schedule", "reinforce"),
            ("penalty", "threshold-pressure"),
            "it needs samples, and a relaxation that draws some has no thresholds; leave the penalty out",
        ),
        (("relaxation", "softmax"), ("schedule", "reinforce"), _NO_SAMPLES),
        (("relaxation", "clipped"), ("schedule", "reinforce"), _NO_SAMPLES),
        (("relaxation", "sparse"), ("schedule", "reinforce"), _NO_SAMPLES),
        (
            ("schedule", "reinforce"),
            ("hypergradient", "unrolled"),
            "a policy gradient looks through no weight step; take hypergradient=first-order or another schedule",
        ),
        (("relaxation", "softmax"), ("penalty", "anchor"), _NO_CONCENTRATIONS),
        (("relaxation", "concrete"), ("penalty", "anchor"), _NO_CONCENTRATIONS),
        (("relaxation", "clipped"), ("penalty", "anchor"), _NO_CONCENTRATIONS),
        (("relaxation", "sparse"), ("penalty", "anchor"), _NO_CONCENTRATIONS),
        (("relaxation", "softmax"), ("penalty", "threshold-pressure"), _NO_THRESHOLDS),
        (("relaxation", "dirichlet"), ("penalty", "threshold-pressure"), _NO_THRESHOLDS),
        (("relaxation", "concrete"), ("penalty", "threshold-pressure"), _NO_THRESHOLDS),
        (("relaxation", "clipped"), ("penalty", "threshold-pressure"), _NO_THRESHOLDS),
        (("space", "nasbench201"), ("growth", "network-morphism"), _FIXED_CELL),
        (("space", "darts-rnn"), ("penalty", "resource"), _NO_IMAGES),
        (("space", "two-input-rnn"), ("penalty", "resource"), _NO_IMAGES),
        (
            ("schedule", "joint"),
            ("hypergradient", "unrolled"),
            "weights and choices share one backward pass, so there is no weight step to look through; "
            "take hypergradient=first-order or another schedule",
        ),
    )
}


def incompatible(one: Part, other: Part) -> str | None:
    """Return why two parts cannot be combined, in words that follow the first part's name, or None if they can."""
    return _REASONS.get(frozenset((one, other)))


def parts_of(config: SearchConfig) -> list[Part]:
    """Return every part that a configuration names."""
    found: list[Part] = []
    for setting, kind in PART_KINDS.items():
        part = getattr(config, setting)
        specs: Iterable[object] = part.values() if isinstance(part, dict) else [part]
        found += [(kind, str(spec.name)) for spec in specs if spec is not None]  # type: ignore[attr-defined]
    return found


def check_compatible(config: SearchConfig) -> None:
    """Refuse a composition whose parts contradict each other.

    Raises:
        InputError: with the reason for every pair.
    """
    problems = []
    for one, other in combinations(dict.fromkeys(parts_of(config)), 2):
        if reason := incompatible(one, other):
            first, second = (one, other) if one[0] in ("relaxation", "schedule", "space") else (other, one)
            problems.append(f"{first[0]}={first[1]} does not go with {second[0]} {second[1]}: {reason}.")
    if problems:
        raise several("The parts do not fit together", problems)
