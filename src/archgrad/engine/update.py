"""One update of a search: the primitives that a schedule puts in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from archgrad.engine.growing.extension import ripen
from archgrad.engine.hypergradient import Level
from archgrad.engine.optimise import masked_step
from archgrad.engine.problem import SearchProblem
from archgrad.engine.schedules.schedule import Estimator
from archgrad.engine.state import LEVEL_PARTS, Batch, SearchState
from archgrad.errors import NotFiniteError
from archgrad.processes import agree
from archgrad.supernet.storage import Liveness

__all__ = ["NotFiniteError", "Streams", "Update", "stop_if_not_finite", "update"]


class Streams:
    """The batches of both levels, opened where the state says that they were left."""

    def __init__(self, state: SearchState) -> None:
        self.state = state
        self._open: dict[str, Iterator[Batch]] = {}

    def next(self, part: str) -> Batch:
        """Return the next batch of a part and move its position on; where a stream begins again, so does its state."""
        if part not in self._open:
            self._open[part] = self.state.parts.data.stream(part, self.state.positions[part])
        if self.state.positions[part] % self.state.parts.data.steps(part) == 0:
            self.state.hidden.pop(part, None)
        self.state.positions[part] += 1
        return next(self._open[part])


class Update:
    """The primitives of one update; see :class:`archgrad.engine.schedules.schedule.Steps`.

    Args:
        state: what is changed.
        streams: where the batches come from.
    """

    def __init__(self, state: SearchState, streams: Streams) -> None:
        self.state, self.streams = state, streams
        self.batches: dict[Level, Batch] = {"train": streams.next("weights")}
        self.problem = SearchProblem(state, self.batches)
        self.live: Liveness = {}

    @property
    def index(self) -> int:
        """How many updates were done before this one."""
        return self.state.step

    @property
    def elapsed(self) -> float:
        """Updates done before this one as a share of the whole search's."""
        return self.state.progress.elapsed

    def choice_step(self) -> None:
        """Compute the hypergradient on the choices' next batch and update the choices with it."""
        self.batches["validation"] = self.streams.next("choices")
        gradients = self.state.parts.hypergradient(self.problem)
        self._check("validation")
        self._set(self.problem.choices, gradients)
        self.apply_to_choices()

    def policy_step(self, baseline: float | None) -> float:
        """Update the choices by the policy gradient of the loss on their next batch; return that loss."""
        self.batches["validation"] = self.streams.next("choices")
        gradients, cost = self.problem.policy_gradient(baseline)
        self._check("validation")
        self._set(self.problem.choices, gradients)
        self.apply_to_choices()
        return cost

    def weight_gradients(self) -> None:
        """Compute the gradients of the training loss; this forward alone writes batch-norm statistics."""
        weights = list(self.problem.weights.values())
        gradients = self.problem.raw_gradient("train", weights, track_statistics=True)
        self._check("train")
        self._set_weights(gradients)

    def joint_gradients(self, estimator: Estimator) -> None:
        """Compute the gradients of the training loss with respect to both, in one forward and one backward."""
        weights, choices = self.problem.joint_gradient(estimator)
        self._check("train")
        self._set_weights(weights)
        self._set(self.problem.choices, choices)

    def gradient_square(self) -> float:
        """Return the squared norm of the weights' gradients as they were computed, before clipping."""
        squares = [(w.grad.double() ** 2).sum() for w in self.problem.weights.values() if w.grad is not None]
        return float(torch.stack(squares).sum()) if squares else 0.0

    def weight_step(self) -> None:
        """Clip, then update the weights; slices outside of the support of this step are left alone."""
        clip = self.state.parts.weights.clip
        if clip is not None:
            clip_grad_norm_(self.state.supernet.parameters(), clip)
        masked_step(self.state.weight_optimizer, self.problem.weights, self.live)
        self.state.weight_optimizer.zero_grad(set_to_none=True)

    def apply_to_choices(self) -> None:
        """Clip, then update the choices with the gradients that were computed; penalties then see what came of it."""
        if self.state.parts.choices.clip is not None:
            clip_grad_norm_(self.problem.choices, self.state.parts.choices.clip)
        self.state.choice_optimizer.step()
        self.state.choice_optimizer.zero_grad(set_to_none=True)
        if self.state.parts.penalties:
            with torch.no_grad():
                view = self.problem.view()
            for penalty in self.state.parts.penalties.values():
                penalty.after_choice_step(view)

    def report(self) -> dict[str, Any]:
        """Return what is logged of this update: losses, and what penalties and the schedule tell."""
        parts, losses = self.state.parts, self.problem.losses
        record: dict[str, Any] = {"loss": losses.get("train"), "choice_loss": losses.get("validation")}
        told = {name: {"value": value} | parts.penalties[name].report() for name, value in self.problem.terms.items()}
        schedule = parts.schedule.report()
        return record | ({"penalties": told} if told else {}) | ({"schedule": schedule} if schedule else {})

    def _set_weights(self, gradients: Sequence[Tensor | None]) -> None:
        """Keep the weights' gradients, and which slices the forward behind them used."""
        self._set(self.problem.weights.values(), gradients)
        self.live = self.state.supernet.live_slices(self.problem.used)  # type: ignore[operator]

    def _set(self, tensors: Iterable[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """Keep gradients where the optimisers look for them."""
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient

    def _check(self, level: Level) -> None:
        where = f"at step {self.state.step + 1} (epoch {self.state.epoch + 1})"
        stop_if_not_finite(f"{level} loss", self.problem.losses[level], where)
        for name, value in self.problem.terms.items():
            stop_if_not_finite(f"penalty '{name}'", value, where)


def stop_if_not_finite(what: str, value: float, where: str) -> None:
    """Stop the search, in all processes at once, when a loss of any of them is not finite.

    Args:
        what: which loss, in words.
        value: the loss.
        where: the step or epoch, in words.

    Raises:
        NotFiniteError: the loss of this or of another process is not finite.
    """
    if agree(not math.isfinite(value)):  # one process alone must not stop: the others would wait for it
        raise NotFiniteError(
            f"The {what} is {value} {where}. Usually the learning rate is too high (--set weights.rate=...) or the "
            "data holds extreme values."
        )


def update(state: SearchState, streams: Streams) -> Update:
    """Do one update, the schedule in charge; return it for what can be read off it."""
    current = Update(state, streams)
    state.parts.schedule(current)
    with torch.no_grad():
        for _, table in state.choices.items():
            state.parts.relaxation.settle(table)
    for level, hidden in current.problem.hidden.items():
        state.hidden[LEVEL_PARTS[level]] = state.parts.processes.gather(hidden)
    state.step += 1
    ripen(state)
    state.sums.add(current.problem.losses, current.problem.terms, current.problem.credits)
    return current
