"""When the choices learn: a schedule orders the primitives of one update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from archgrad.errors import InputError, at_least_one, unknown

__all__ = ["Always", "Estimator", "Every", "Joint", "Never", "Schedule", "Steps"]

Estimator = Literal["pathwise", "score_function", "credit"]
"""How a joint step estimates the choices' gradient; see :mod:`archgrad.engine.credit`."""


class Steps(Protocol):
    """What a schedule may do in one update, in any order."""

    @property
    def index(self) -> int:
        """How many updates were done before this one."""
        ...

    @property
    def elapsed(self) -> float:
        """Updates done before this one as a share of the whole search's, in [0, 1)."""
        ...

    def choice_step(self) -> None:
        """Compute the hypergradient on the choices' next batch and update the choices."""
        ...

    def policy_step(self, baseline: float | None) -> float:
        """Update the choices by the policy gradient of the loss on their next batch; return that loss.

        Args:
            baseline: what is subtracted from the loss; the loss itself when None.
        """
        ...

    def weight_gradients(self) -> None:
        """Compute the gradients of the training loss with respect to the weights (before clipping)."""
        ...

    def gradient_square(self) -> float:
        """Return the squared norm of the weights' gradients as they were computed, before clipping."""
        ...

    def weight_step(self) -> None:
        """Update the weights with the gradients that were computed."""
        ...

    def joint_gradients(self, estimator: Estimator) -> None:
        """Compute the gradients of the training loss with respect to weights and choices: one forward, one backward."""
        ...

    def apply_to_choices(self) -> None:
        """Update the choices with the gradients that a joint backward computed."""
        ...


class Schedule(Protocol):
    """Decides, update by update, whether and when the choices learn."""

    @property
    def choice_share(self) -> float:
        """Share of the training data that serves the choices; 0 when they learn from the weights' own batches."""
        ...

    def __call__(self, steps: Steps) -> None:
        """Do one update."""
        ...

    def report(self) -> dict[str, float]:
        """Return what is worth logging of the last update."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the schedule's own state as plain data (empty where there is none)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        return None


@dataclass
class Always(Schedule):
    """A choice step before every weight step (DARTS, algorithm 1).

    Args:
        choice_share: half of the training data serves the choices (DARTS section 3.1).
        warmup: share of the search in which the weights alone learn (PC-DARTS: 15 of 50 epochs).

    Raises:
        InputError: the warm-up is negative or leaves nothing of the search.
    """

    choice_share: float = 0.5
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise InputError(f"schedule.warmup is {self.warmup:g}; it must be at least 0 and below 1.")

    def __call__(self, steps: Steps) -> None:
        """Do a choice step unless it is too early, then a weight step."""
        if steps.elapsed >= self.warmup:
            steps.choice_step()
        steps.weight_gradients()
        steps.weight_step()


@dataclass
class Every(Schedule):
    """A choice step before every k-th weight step, beginning with the first.

    Args:
        k: one choice step in so many updates.
        choice_share: share of the training data for the choices; negative: 1 / (1 + k), so both sets last one epoch.

    Raises:
        InputError: k is not positive.
    """

    k: int = 10
    choice_share: float = -1.0

    def __post_init__(self) -> None:
        at_least_one("schedule", k=self.k)
        if self.choice_share < 0:
            self.choice_share = 1.0 / (1.0 + self.k)

    def __call__(self, steps: Steps) -> None:
        """Do a weight step, and before it a choice step where it is due."""
        if steps.index % self.k == 0:
            steps.choice_step()
        steps.weight_gradients()
        steps.weight_step()


@dataclass
class Joint(Schedule):
    """Weights and choices learn from the same backward pass on the same training loss (SNAS, arXiv 1812.09926).

    Args:
        estimator: "pathwise" (SNAS): through the relaxed sample; "score_function": the loss times the gradient of the
            sample's log density; "credit": the same with every edge's own credit in place of the loss.
        choice_share: none of the training data is set apart, everything but the validation part serves both.

    Raises:
        InputError: unknown estimator.
    """

    estimator: Estimator = "pathwise"
    choice_share: float = 0.0

    def __post_init__(self) -> None:
        if self.estimator not in get_args(Estimator):
            raise unknown("estimator of schedule 'joint'", self.estimator, get_args(Estimator))

    def __call__(self, steps: Steps) -> None:
        """Do one forward and one backward, then step both."""
        steps.joint_gradients(self.estimator)
        steps.apply_to_choices()
        steps.weight_step()


@dataclass
class Never(Schedule):
    """The choices stay as they were drawn: the supernet of random search."""

    choice_share: float = 0.0

    def __call__(self, steps: Steps) -> None:
        """Do a weight step."""
        steps.weight_gradients()
        steps.weight_step()
