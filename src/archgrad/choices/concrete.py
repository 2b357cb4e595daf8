"""The relaxation of SNAS: every edge draws one sample from the concrete distribution, which sharpens over the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.choices.mixing import Mixing, support_of
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.softmax import softmax_weights
from archgrad.choices.table import ChoiceTable, as_table
from archgrad.choices.temperature import temperature_of
from archgrad.errors import InputError

__all__ = [
    "Concrete",
    "concrete_log_density",
    "concrete_sample",
    "gumbel",
    "linear_temperature",
    "one_hot",
    "strongest_edges",
]


def linear_temperature(epoch: float, start: float, end: float) -> float:
    """Return lambda(e) = end + (start - end) (1 - (e + 1) / E) (SNAS' public code, where E is always 150).

    Args:
        epoch: the clock (e + 1) / E, in [0, 1], whatever the length E of the run.
        start: at clock 0, one epoch before the first.
        end: of the last epoch.
    """
    return end + (start - end) * (1.0 - epoch)


def gumbel(rows: int, candidates: int, generator: torch.Generator) -> Tensor:
    """Return G = -log(-log U) with U uniform on (0, 1), [rows, candidates]; drawn in float64, so it stays finite."""
    uniform = torch.rand(rows, candidates, generator=generator, dtype=torch.float64)
    uniform = uniform.clamp(torch.finfo(torch.float64).tiny, 1.0 - torch.finfo(torch.float64).eps)
    return -torch.log(-torch.log(uniform))


def concrete_sample(log_alpha: Tensor, alive: Tensor, noise: Tensor, temperature: float | Tensor) -> Tensor:
    """Return Z_k = exp((log alpha_k + G_k) / lambda) / sum_l exp((log alpha_l + G_l) / lambda) (SNAS, equation 4).

    Args:
        log_alpha: [rows, candidates]; the trainable tensor *is* log alpha.
        alive: bool [rows, candidates]; the others get 0.
        noise: G, [rows, candidates].
        temperature: lambda, or [rows, 1] where every row has its own.
    """
    return softmax_weights((log_alpha + noise) / temperature, alive)


def one_hot(soft: Tensor) -> Tensor:
    """Return the one-hot rows of the largest weights, constant; a row without any weight stays 0.

    Args:
        soft: [rows, candidates], none negative.
    """
    hard = torch.zeros_like(soft).scatter(1, soft.argmax(dim=1, keepdim=True), 1.0)
    return hard * (soft.detach().sum(dim=1, keepdim=True) > 0)


def strongest_edges(perturbed: Tensor, alive: Tensor, groups: Sequence[int], inputs: int) -> Tensor:
    """Return which edges a draw keeps, bool [rows]: into every node those with the largest log alpha + G.

    The largest of an edge's perturbed logits says nothing about which candidate it is, so where all logits are equal
    every set of edges is equally likely, whatever runs on them.

    Args:
        perturbed: log alpha + G, [rows, candidates].
        alive: bool [rows, candidates].
        groups: for every row the node that it leads to.
        inputs: edges kept per node.
    """
    best = perturbed.detach().masked_fill(~alive, -torch.inf).amax(dim=1).tolist()
    kept = [False] * len(best)
    for group in dict.fromkeys(groups):
        rows = [row for row, of in enumerate(groups) if of == group]
        for row in sorted(rows, key=lambda row: -best[row])[:inputs]:
            kept[row] = True
    return torch.tensor(kept, device=alive.device)


def concrete_log_density(
    log_alpha: Tensor, sample: Tensor, temperature: float | Tensor, alive: Tensor | None = None, floor: float = 1e-4
) -> Tensor:
    """Return log p(Z) of every row: the density of the concrete distribution on the simplex.

    log (n-1)! + (n-1) log lambda + sum_k [log alpha_k - (lambda + 1) log Z_k] - n log sum_k alpha_k Z_k^-lambda, with n
    the number of living candidates (Maddison, Mnih, Teh, arXiv 1611.00712, equation 4; SNAS' public code has n = 8).

    Args:
        log_alpha: [rows, candidates].
        sample: Z, [rows, candidates], constant.
        temperature: lambda, or [rows, 1] where every row has its own.
        alive: bool [rows, candidates]; all when None.
        floor: smallest Z that is told from 0, so that the logarithm stays finite (SNAS' public code: 1e-4).

    Returns:
        [rows]; 0 for a row without living candidates.
    """
    alive = torch.ones_like(log_alpha, dtype=torch.bool) if alive is None else alive
    count = alive.sum(dim=1).to(log_alpha.dtype)
    log_z = sample.detach().clamp_min(floor).log()
    terms = (log_alpha - (temperature + 1.0) * log_z).masked_fill(~alive, 0.0).sum(dim=1)
    some = (log_alpha - temperature * log_z).masked_fill(~alive, -torch.inf)
    mass = torch.logsumexp(some.where(count[:, None] > 0, torch.zeros_like(some)), dim=1)
    density = (
        torch.lgamma(count)
        + (count - 1.0) * torch.as_tensor(temperature).to(log_alpha).log().flatten()
        + terms
        - count * mass
    )
    return density.where(count > 0, torch.zeros_like(density))


@dataclass(frozen=True)
class Concrete(Relaxation):
    """One sample per edge from the concrete distribution over log alpha, reparametrised (SNAS, arXiv 1812.09926).

    Without noise it gives the sample at G = 0, the same at every call.

    Args:
        start: temperature one epoch before the first (SNAS: 1.0).
        end: temperature of the last epoch, reached linearly (SNAS: 0.03).
        hard: straight-through: the forward uses the one-hot of the largest weight, the gradient is the sample's. All
            candidates still run, since the gradient needs their outputs.
        sampled: of hard samples the one that was drawn runs alone, and the gradient passes through its weight alone
            (GDAS, arXiv 1910.04465, section 3.2): an edge costs one operation.
        inputs: of hard samples so many edges into every node run, drawn with their candidates; 0 for all of them.
        mean: of the initial log alpha (SNAS' public code: 1.0; without effect on the mixing).
        deviation: standard deviation of the initial log alpha (SNAS' public code: 0.01).
        floor: smallest weight that the log density tells from 0.

    Raises:
        InputError: a temperature or the floor is not positive, or ``sampled`` or ``inputs`` without ``hard``.
    """

    start: float = 1.0
    end: float = 0.03
    hard: bool = False
    sampled: bool = False
    inputs: int = 0
    mean: float = 1.0
    deviation: float = 0.01
    floor: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("start", "end", "floor"):
            if getattr(self, name) <= 0:
                raise InputError(f"relaxation.{name} is {getattr(self, name)}; it must be above 0.")
        if self.inputs < 0:
            raise InputError(f"relaxation.inputs is {self.inputs}; it must be at least 0, which means all edges.")
        for name in ("sampled", "inputs"):
            if getattr(self, name) and not self.hard:
                raise InputError(
                    f"relaxation.{name} runs only what was drawn, but soft samples give weight to everything; "
                    "add relaxation.hard=true, or leave it out."
                )

    def temperature(self, progress: Progress) -> float:
        """Return lambda at this moment."""
        return linear_temperature(progress.epoch, self.start, self.end)

    def _temperature_of(self, table: ChoiceTable, progress: Progress) -> float | Tensor:
        """Return lambda, of every row its own where some grew later."""
        return temperature_of(table, progress.epoch, lambda epoch: linear_temperature(epoch, self.start, self.end))

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return normal log alpha, [rows, candidates]."""
        return self.mean + self.deviation * torch.randn(rows, candidates, generator=generator)

    def noise(self, table: ChoiceTable, generator: torch.Generator) -> Tensor:
        """Return Gumbel noise of the table's shape."""
        rows, candidates = table.logits.shape
        return gumbel(rows, candidates, generator).to(table.logits)

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the sample that this noise gives; support = what is alive, or what was drawn where that runs alone."""
        table = as_table(table)
        given = torch.zeros_like(table.logits) if noise is None else noise
        soft = concrete_sample(table.logits, table.alive, given, self._temperature_of(table, progress))
        if not self.hard:
            return Mixing(soft, support_of(table.alive))
        drawn, runs = one_hot(soft), table.alive
        if self.inputs:
            kept = strongest_edges(table.logits + given, table.alive, table.groups, self.inputs)[:, None]
            drawn, runs = drawn * kept, runs & kept
        return Mixing(drawn + (soft - soft.detach()), support_of(drawn > 0 if self.sampled else runs))

    def expected(self, table: ChoiceTable | Tensor, progress: Progress) -> Mixing:
        """Return softmax(log alpha): the chance of every candidate to be the one, at any temperature."""
        table = as_table(table)
        return Mixing(softmax_weights(table.logits, table.alive), support_of(table.alive))

    def log_density(self, table: ChoiceTable | Tensor, weights: Tensor, progress: Progress) -> Tensor:
        """Return log p(Z) of every row of a sample, [rows], differentiable in the table.

        A hard sample is a draw from the categorical distribution softmax(log alpha), whatever the temperature.

        Args:
            table: the choices that it was drawn from.
            weights: Z, [rows, candidates], taken as constant.
            progress: when.
        """
        table = as_table(table)
        if self.hard:
            chances = softmax_weights(table.logits, table.alive)
            return (weights.detach() * chances.clamp_min(torch.finfo(chances.dtype).tiny).log()).sum(dim=1)
        return concrete_log_density(
            table.logits, weights, self._temperature_of(table, progress), table.alive, self.floor
        )
