"""The bilevel problem of one update on a supernet: both losses, with the same batches, noise, layout and masks.

Micro-batches and the averaging over processes wrap the step here and nowhere else; precision, statistics and dropout
wrap its forwards in :mod:`archgrad.engine.forward`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from archgrad.choices import Mixing
from archgrad.engine.credit import Credits, added_credits, score_function_gradient
from archgrad.engine.derivations.derive import expected_mixings, project
from archgrad.engine.forward import out_of_the_graph, same_dropout, supernet_output
from archgrad.engine.hypergradient import InnerStep, Level
from archgrad.engine.mixings import draw_noise, layer_mixings, transit_mixings
from archgrad.engine.penalties.penalty import View
from archgrad.engine.schedules.schedule import Estimator
from archgrad.engine.state import LEVEL_PARTS, Batch, SearchState
from archgrad.network.carried import handed_on, penalty_of, state_of
from archgrad.processes import average_gradients

__all__ = ["SearchProblem"]


class SearchProblem:
    """The two losses of one update as functions of weights and choices.

    Args:
        state: supernet, choices and everything else.
        batches: "train" and, where the choices have their own, "validation".

    Attributes:
        losses: the task's loss of every level, as last computed; penalties not counted.
        terms: the penalties' values by name, as last computed.
        credits: of every draw and edge, from the last gradient of the choices at their own weights.
        shaken: of every draw and cell kind, what is random about the perturbation of the weights' loss.
        used: the mixings of the last forward, one mapping per layer.
        hidden: of every level that was computed, the state behind this process' streams, where its batches have some;
            all forwards of a level begin with the state that the update before it left.
    """

    def __init__(self, state: SearchState, batches: Mapping[Level, Batch]) -> None:
        self.state, self.batches, self.parts = state, batches, state.parts
        self.seats, self.progress = state.seats, state.progress
        self.noise = draw_noise(state.choices, self.parts.relaxation, self.seats, state.generator)
        self.shaken: Sequence[Mapping[str, Tensor]] = ()
        if self.parts.perturbation is not None:
            shake, draw = self.parts.perturbation.noise, self.state.generator
            self.shaken = [{kind: shake(table, draw) for kind, table in state.choices.items()} for _ in self.noise]
        # dropout masks: one seed an update, so that all its forwards draw the same; each process its own
        self.seed = int(torch.randint(2**31, (1,), generator=state.generator)) + self.parts.processes.rank
        self.losses: dict[Level, float] = {}
        self.terms: dict[str, float] = {}
        self.credits: Credits = []
        self.used: Sequence[Mapping[str, Mixing]] = ()
        self.hidden: dict[Level, Tensor] = {}

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

    def view(self) -> View:
        """Return everything that follows from the choices as they are now: mixings, projections, what penalties see.

        Differentiable in the choices; every call of one update uses the same noise.
        """
        relaxation, space = self.parts.relaxation, self.parts.space
        expected = expected_mixings(self.state.choices, relaxation, self.progress)
        projections = project(expected, self.parts.derivation, space)
        derived = transit_mixings(expected, projections)
        return View(
            space=space,
            layers=self.state.supernet.layers,  # type: ignore[arg-type]
            input_shape=tuple(self.batches["train"][0].shape[1:]),
            stem=getattr(self.state.supernet, "stem_name", "plain"),
            choices=self.state.choices,
            relaxation=relaxation,
            mixings=layer_mixings(self.state.choices, relaxation, self.progress, self.noise, self.seats, derived),
            expected=expected,
            derivation=self.parts.derivation,
            projections=projections,
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
        joint: Estimator | None = None,
    ) -> list[Tensor | None]:
        """Return gradients of one loss, averaged over micro-batches and processes; None where there is none.

        Args:
            level: which loss.
            inputs: what to differentiate with respect to.
            weights: in place of the supernet's own.
            create_graph: whether the result can be differentiated again.
            track_statistics: whether the forward writes batch-norm statistics (the weight step's only).
            joint: weights and choices share this loss, so all penalties act on it; with another estimator than
                "pathwise" the task's loss reaches the choices through their credits alone, see :meth:`joint_gradient`.
        """
        images, targets = self.batches[level]
        pieces = min(self.parts.weights.accumulate, len(images))
        chunks = list(zip(images.chunk(pieces), targets.chunk(pieces), strict=True))
        before = self._before(level, len(chunks))
        behind: list[Tensor] = []
        total: list[Tensor | None] = [None] * len(inputs)
        value, terms = 0.0, dict.fromkeys(self._acting(level, joint is not None), 0.0)
        # what each edge earned falls off the choices' own gradient; an unrolled one would tell of other weights
        asked = {id(tensor) for tensor in inputs}
        wanted = weights is None and not create_graph and any(id(choice) in asked for choice in self.choices)
        if wanted:
            self.credits = []
        device = next(iter(self.weights.values())).device
        unasked = [w for w in self.weights.values() if id(w) not in asked] if weights is None else []
        with same_dropout(self.seed, device), out_of_the_graph(unasked):
            for (x, y), state in zip(chunks, before, strict=True):
                share = len(x) / len(images)
                view = self.view()
                given, drawn = self._given(level, view, cut=joint not in (None, "pathwise"))
                output = supernet_output(
                    self.state.supernet,
                    x,
                    given,
                    handed_on(state),
                    weights=weights,
                    precision=self.parts.precision,
                    track_statistics=track_statistics,
                )
                loss = share * self.parts.task.loss(output, y)
                value += float(loss.detach())
                if (extra := penalty_of(output)) is not None and level == "train":  # of the weights' loss alone
                    loss = loss + share * extra
                if (last := state_of(output)) is not None:
                    behind.append(last)
                for name in terms:
                    term = share * self.parts.penalties[name](view)
                    terms[name] += float(term.detach())
                    loss = loss + term
                samples = [sample for draw in drawn for sample in draw.values()] if wanted else []
                found = _gradients(loss, [*inputs, *samples], create_graph, create_graph or weights is not None)
                total = [g if t is None else t if g is None else t + g for t, g in zip(total, found, strict=False)]
                if wanted:
                    self.credits = added_credits(self.credits, drawn, found[len(inputs) :])
        if track_statistics or level not in self.losses:
            self.losses[level] = value
            self.hidden |= {level: torch.cat(behind)} if behind else {}
        self.terms |= terms
        return total if create_graph else average_gradients(total, inputs)

    def joint_gradient(self, estimator: Estimator) -> tuple[list[Tensor | None], list[Tensor]]:
        """Return the gradients of the training loss with respect to weights and choices: one forward, one backward.

        Args:
            estimator: of the choices' gradient.

        Returns:
            The weights' gradients (None where a weight was not used) and the choices'.

        Raises:
            InputError: a score-function estimator on a relaxation that draws no samples.
        """
        weights, choices = list(self.weights.values()), self.choices
        found = self.raw_gradient("train", [*weights, *choices], track_statistics=True, joint=estimator)
        direct = [torch.zeros_like(c) if g is None else g for g, c in zip(found[len(weights) :], choices, strict=True)]
        if estimator == "score_function":
            direct = self._scored(direct, self._everywhere(self.losses["train"]))
        elif estimator == "credit":
            direct = self._scored(direct, self.credits)
        return found[: len(weights)], direct

    def policy_gradient(self, baseline: float | None) -> tuple[list[Tensor], float]:
        """Return (L_val - b) d log p(Z) of this update's samples, with the penalties' own gradients, and L_val.

        Args:
            baseline: b; L_val itself when None, so that the first loss moves nothing.

        Raises:
            InputError: the relaxation draws no samples.
        """
        choices = self.choices
        found = self.raw_gradient("validation", choices, joint="score_function")
        direct = [torch.zeros_like(c) if g is None else g for g, c in zip(found, choices, strict=True)]
        own = torch.tensor(self.losses["validation"])
        cost = float(average_gradients([own], [own])[0] or 0.0)  # the same baseline in all processes
        advantage = self.losses["validation"] - (cost if baseline is None else baseline)
        return self._scored(direct, self._everywhere(advantage)), cost

    def _everywhere(self, reward: float) -> Credits:
        """Return one and the same reward for every edge of what was drawn."""
        return [{kind: torch.full_like(c, reward) for kind, c in draw.items()} for draw in self.credits]

    def _scored(self, direct: list[Tensor], rewards: Credits) -> list[Tensor]:
        """Return gradients plus the score-function gradient of rewards, averaged over processes."""
        score = score_function_gradient(self.state.choices, self.parts.relaxation, self.progress, self.noise, rewards)
        averaged = average_gradients(list(score), self.choices)
        return [d if g is None else d + g for d, g in zip(direct, averaged, strict=True)]

    def _acting(self, level: Level, joint: bool) -> list[str]:
        """Return the names of the penalties that are added to this loss."""
        penalties = self.parts.penalties.items()
        return [name for name, penalty in penalties if joint or penalty.on == "both" or level == "validation"]

    def _given(self, level: Level, view: View, cut: bool) -> tuple[list[Mapping[str, Mixing]], list[dict[str, Tensor]]]:
        """Return the mixings of a forward, and by draw and kind their weights as only the supernet reads them.

        The supernet gets the weights under another name, so that a gradient with respect to them is the task's alone.

        Args:
            level: which loss; that of the weights may see a perturbed mixture.
            view: everything that follows from the choices.
            cut: whether the task's loss must not reach the choices through them.
        """
        own: dict[int, Mapping[str, Mixing]] = {}
        for seat, mixings in zip(self.seats, view.mixings, strict=True):
            if seat.engine and seat.draw not in own:
                seen = self._perturbed(mixings, seat.draw) if level == "train" else mixings
                own[seat.draw] = {kind: replace(m, weights=_renamed(m.weights, cut)) for kind, m in seen.items()}
        self.used = view.mixings
        given = [own[seat.draw] if seat.engine else m for seat, m in zip(self.seats, view.mixings, strict=True)]
        drawn = [
            {kind: m.weights for kind, m in own.get(draw, {}).items() if m.weights.requires_grad}
            for draw in range(len(self.noise))
        ]
        return given, drawn

    def _perturbed(self, mixings: Mapping[str, Mixing], draw: int) -> Mapping[str, Mixing]:
        """Return the mixings as the weights' loss sees them."""
        perturb = self.parts.perturbation
        if perturb is None:
            return mixings
        return {kind: perturb(m, self.progress, self.shaken[draw][kind]) for kind, m in mixings.items()}

    def _before(self, level: Level, pieces: int) -> Sequence[Tensor | None]:
        """Return the states that the micro-batches of a level begin with; None where a text begins, or is none."""
        state = self.state.hidden.get(LEVEL_PARTS[level])
        return [None] * pieces if state is None else self.parts.processes.share(state).chunk(pieces)


def _renamed(weights: Tensor, cut: bool) -> Tensor:
    """Return the same numbers as a tensor of its own, which a gradient can be asked for."""
    return weights.detach().requires_grad_() if cut else weights.view_as(weights)


def _gradients(
    loss: Tensor, inputs: Sequence[Tensor], create_graph: bool, retain_graph: bool
) -> Sequence[Tensor | None]:
    """Return the gradients of a loss, None where there is none: everywhere if it depends on no input at all.

    That happens: no path may lead from an Engine-cell to the output while the derived cell reads other inputs.
    """
    if not loss.requires_grad:
        return [None] * len(inputs)
    return torch.autograd.grad(
        loss, list(inputs), create_graph=create_graph, retain_graph=retain_graph, allow_unused=True
    )
