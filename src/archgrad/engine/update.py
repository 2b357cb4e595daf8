"""One update of a search: the primitives that a schedule puts in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from archgrad.engine.hypergradient import Level
from archgrad.engine.optimise import masked_step
from archgrad.engine.problem import SearchProblem
from archgrad.engine.state import Batch, SearchState
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
        """Return the next batch of a part and move its position on."""
        if part not in self._open:
            self._open[part] = self.state.parts.data.stream(part, self.state.positions[part])
        self.state.positions[part] += 1
        return next(self._open[part])


class Update:
    """The primitives of one update; see :class:`archgrad.engine.schedule.Steps`.

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

    def choice_step(self) -> None:
        """Compute the hypergradient on the choices' next batch and update the choices with it."""
        self.batches["validation"] = self.streams.next("choices")
        gradients = self.state.parts.hypergradient(self.problem)
        self._check("validation")
        self._apply_to_choices(gradients)
        if self.state.parts.penalties:
            view = self.problem.view(self.problem.mixings())
            for penalty in self.state.parts.penalties.values():
                penalty.after_choice_step(view)

    def weight_gradients(self) -> None:
        """Compute the gradients of the training loss; this forward alone writes batch-norm statistics."""
        weights = list(self.problem.weights.values())
        self.live = self.state.supernet.live_slices(self.problem.mixings())  # type: ignore[operator]
        gradients = self.problem.raw_gradient("train", weights, track_statistics=True)
        self._check("train")
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient

    def weight_step(self) -> None:
        """Clip, then update the weights; slices outside of the support of this step are left alone."""
        clip = self.state.parts.weights.clip
        if clip is not None:
            clip_grad_norm_(self.state.supernet.parameters(), clip)
        masked_step(self.state.weight_optimizer, self.problem.weights, self.live)
        self.state.weight_optimizer.zero_grad(set_to_none=True)

    def _apply_to_choices(self, gradients: list[Tensor]) -> None:
        for choice, gradient in zip(self.problem.choices, gradients, strict=True):
            choice.grad = gradient
        if self.state.parts.choices.clip is not None:
            clip_grad_norm_(self.problem.choices, self.state.parts.choices.clip)
        self.state.choice_optimizer.step()
        self.state.choice_optimizer.zero_grad(set_to_none=True)

    def _check(self, level: Level) -> None:
        where = f"at step {self.state.step + 1} (epoch {self.state.epoch + 1})"
        stop_if_not_finite(f"{level} loss", self.problem.losses[level], where)


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


def update(state: SearchState, streams: Streams) -> Mapping[Level, float]:
    """Do one update, the schedule in charge; return the losses that were computed."""
    current = Update(state, streams)
    state.parts.schedule(current)
    with torch.no_grad():
        for _, table in state.choices.items():
            state.parts.relaxation.settle(table)
    state.step += 1
    return current.problem.losses
