"""The bilevel problem of one update on a supernet: both losses, with the same batches, noise, layout and masks.

Precision, micro-batches and the averaging over processes wrap the step here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property

import torch
from torch import Tensor
from torch.func import functional_call

from archgrad.choices import Mixing
from archgrad.engine.derive import expected_mixings, project
from archgrad.engine.hypergradient import InnerStep, Level
from archgrad.engine.mixings import draw_noise, layer_mixings, transit_mixings
from archgrad.engine.penalty import View
from archgrad.engine.state import Batch, SearchState
from archgrad.processes import average_gradients
from archgrad.supernet.image import frozen_statistics

__all__ = ["SearchProblem"]


class SearchProblem:
    """The two losses of one update as functions of weights and choices.

    Args:
        state: supernet, choices and everything else.
        batches: "train" and, where the choices have their own, "validation".
    """

    def __init__(self, state: SearchState, batches: Mapping[Level, Batch]) -> None:
        self.state, self.batches, self.parts = state, batches, state.parts
        self.seats, self.progress = state.seats, state.progress
        self.noise = draw_noise(state.choices, self.parts.relaxation, self.seats, state.generator)
        # dropout masks: one seed an update, so that all its forwards draw the same; each process its own
        self.seed = int(torch.randint(2**31, (1,), generator=state.generator)) + self.parts.processes.rank
        self.losses: dict[Level, float] = {}

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The supernet's weights by name."""
        return self.state.weights

    @property
    def choices(self) -> list[Tensor]:
        """All trainable tensors of the tables."""
        return list(self.state.choices.parameters())

    @property
    def inner(self) -> InnerStep:
        """The weights' own optimiser step, for unrolled gradients."""
        group, states = self.state.weight_optimizer.param_groups[0], self.state.weight_optimizer.state
        buffers = {
            name: states[weight]["momentum_buffer"]
            for name, weight in self.weights.items()
            if weight in states and states[weight].get("momentum_buffer") is not None
        }
        return InnerStep(group["lr"], group["momentum"], group["weight_decay"], buffers)

    def mixings(self) -> list[Mapping[str, Mixing]]:
        """Return what every layer is given, differentiable in the choices; the same noise at every call."""
        derived = None
        if not all(seat.engine for seat in self.seats):
            expected = expected_mixings(self.state.choices, self.parts.relaxation, self.progress)
            derived = transit_mixings(expected, project(expected, self.parts.derivation, self.parts.space))
        return layer_mixings(self.state.choices, self.parts.relaxation, self.progress, self.noise, self.seats, derived)

    def view(self, mixings: Sequence[Mapping[str, Mixing]]) -> View:
        """Return what penalties look at."""
        expected = expected_mixings(self.state.choices, self.parts.relaxation, self.progress)
        return View(
            space=self.parts.space,
            layers=self.state.supernet.layers,  # type: ignore[arg-type]
            choices=self.state.choices,
            mixings=mixings,
            expected=expected,
            projections=project(expected, self.parts.derivation, self.parts.space),
            noise=self.noise,
            progress=self.progress,
        )

    def gradient(
        self,
        level: Level,
        inputs: Sequence[Tensor],
        weights: Mapping[str, Tensor] | None = None,
        create_graph: bool = False,
    ) -> list[Tensor]:
        """Return gradients of one loss, zeros where it does not depend on an input; statistics stay as they are."""
        found = self.raw_gradient(level, inputs, weights, create_graph=create_graph)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]

    def raw_gradient(
        self,
        level: Level,
        inputs: Sequence[Tensor],
        weights: Mapping[str, Tensor] | None = None,
        *,
        create_graph: bool = False,
        track_statistics: bool = False,
    ) -> list[Tensor | None]:
        """Return gradients of one loss, averaged over micro-batches and processes; None where there is none.

        Args:
            level: which loss.
            inputs: what to differentiate with respect to.
            weights: in place of the supernet's own.
            create_graph: whether the result can be differentiated again.
            track_statistics: whether the forward writes batch-norm statistics (the weight step's only).
        """
        images, targets = self.batches[level]
        pieces = min(self.parts.weights.accumulate, len(images))
        total: list[Tensor | None] = [None] * len(inputs)
        value = 0.0
        with self._dropout_masks(), self._only(inputs, weights):
            for x, y in zip(images.chunk(pieces), targets.chunk(pieces), strict=True):
                share = len(x) / len(images)
                loss = share * self._loss(level, x, y, weights, track_statistics)
                value += float(loss.detach())
                found = torch.autograd.grad(
                    loss,
                    list(inputs),
                    create_graph=create_graph,
                    retain_graph=create_graph or weights is not None,
                    allow_unused=True,
                )
                total = [g if t is None else t if g is None else t + g for t, g in zip(total, found, strict=True)]
        if track_statistics or level not in self.losses:
            self.losses[level] = value
        return total if create_graph else average_gradients(total, inputs)

    def _loss(
        self, level: Level, x: Tensor, y: Tensor, weights: Mapping[str, Tensor] | None, track_statistics: bool
    ) -> Tensor:
        """Return the mean loss of a micro-batch with the penalties that act on this level."""
        supernet, mixings = self.state.supernet.train(), self.mixings()
        precision = torch.autocast(x.device.type, torch.bfloat16) if self.parts.precision == "bf16" else nullcontext()
        statistics = nullcontext() if track_statistics else frozen_statistics(supernet)
        with precision, statistics:
            output = supernet(x, mixings) if weights is None else functional_call(supernet, dict(weights), (x, mixings))
        loss = self.parts.task.loss(output.float() if self.parts.precision == "bf16" else output, y)
        acting = [p for p in self.parts.penalties.values() if p.on == "both" or level == "validation"]
        if acting:
            view = self.view(mixings)
            for penalty in acting:
                loss = loss + penalty(view)
        return loss

    @contextmanager
    def _only(self, inputs: Sequence[Tensor], weights: Mapping[str, Tensor] | None) -> Iterator[None]:
        """Keep weights that nobody asked for out of the graph: a choice step neither saves nor computes for them."""
        asked = {id(tensor) for tensor in inputs}
        others = [] if weights is not None else [w for w in self.weights.values() if id(w) not in asked]
        others = [weight for weight in others if weight.requires_grad]
        for weight in others:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in others:
                weight.requires_grad_(True)

    @contextmanager
    def _dropout_masks(self) -> Iterator[None]:
        """Draw the same dropout masks in every forward of this update and leave the global generators alone."""
        device = next(iter(self.weights.values())).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield
