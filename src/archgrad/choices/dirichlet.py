"""The relaxation of DrNAS: every edge draws its weights from a Dirichlet distribution, whose concentration learns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Gamma

from archgrad.choices.mixing import Mixing, support_of
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.table import ChoiceTable, as_table

__all__ = ["Dirichlet", "concentration", "dirichlet_log_density", "dirichlet_mean", "dirichlet_sample"]


def concentration(logits: Tensor) -> Tensor:
    """Return beta = elu(alpha) + 1, above 0 (DrNAS); 1 at alpha = 0, where the distribution is uniform."""
    # below 0 elu(alpha) + 1 is exp(alpha), written so that nothing cancels
    return torch.where(logits > 0, logits + 1.0, logits.clamp_max(0.0).exp())


def dirichlet_mean(beta: Tensor, alive: Tensor) -> Tensor:
    """Return E[theta_k] = beta_k / sum_l beta_l over the living candidates of every edge.

    Args:
        beta: [rows, candidates].
        alive: bool [rows, candidates]; a row without any living candidate gets zeros.
    """
    living = beta.masked_fill(~alive, 0.0)
    return living / living.sum(dim=1, keepdim=True).clamp_min(torch.finfo(beta.dtype).tiny)


def dirichlet_sample(beta: Tensor, alive: Tensor, seed: int) -> Tensor:
    """Return theta ~ Dirichlet(beta) of the living candidates, differentiable in beta.

    theta_k = gamma_k / sum_l gamma_l with gamma_k ~ Gamma(beta_k), whose pathwise derivative is implicit
    (``torch.distributions``): DrNAS' gradient estimator.

    Args:
        beta: [rows, candidates].
        alive: bool [rows, candidates]; the others get 0.
        seed: of the draw; it is a function of beta and seed.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        # on the CPU and in double precision, whatever the table: small concentrations give very small numbers
        drawn = Gamma(beta.cpu().double(), 1.0).rsample()
    living = drawn.to(beta.device).masked_fill(~alive, 0.0)
    return (living / living.sum(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)).to(beta.dtype)


def dirichlet_log_density(beta: Tensor, sample: Tensor, alive: Tensor, floor: float = 1e-12) -> Tensor:
    """Return log p(theta) = log G(sum_k beta_k) - sum_k log G(beta_k) + sum_k (beta_k - 1) log theta_k of every row.

    Args:
        beta: [rows, candidates].
        sample: theta, [rows, candidates], constant.
        alive: bool [rows, candidates].
        floor: smallest theta that is told from 0, so that the logarithm stays finite.

    Returns:
        [rows]; 0 for a row without living candidates.
    """
    some = alive.any(dim=1)
    one = torch.ones_like(beta)
    terms = (beta - 1.0) * sample.detach().clamp_min(floor).log() - torch.lgamma(torch.where(alive, beta, one))
    total = torch.where(some, beta.masked_fill(~alive, 0.0).sum(dim=1), one[:, 0])
    density = torch.lgamma(total) + terms.masked_fill(~alive, 0.0).sum(dim=1)
    return torch.where(some, density, torch.zeros_like(density))


@dataclass(frozen=True)
class Dirichlet(Relaxation):
    """Weights drawn from a Dirichlet distribution, everything runs (DrNAS, arXiv 2006.10355).

    Without noise it gives the mean. What is random about a draw is a seed: the pathwise derivative of a gamma variable
    needs no noise that could be drawn beforehand.

    Args:
        deviation: standard deviation of the initial logits, around 0 (public code: 1e-3).
    """

    deviation: float = 1e-3

    def initial(self, rows: int, candidates: int, generator: torch.Generator) -> Tensor:
        """Return normal logits [rows, candidates] around 0."""
        return self.deviation * torch.randn(rows, candidates, generator=generator)

    def noise(self, table: ChoiceTable, generator: torch.Generator) -> Tensor:
        """Return the seed of a draw, an integer scalar."""
        return torch.randint(2**31, (), generator=generator)

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        """Return the sample that this seed gives; support = what is alive."""
        table = as_table(table)
        if noise is None:
            return self.expected(table, progress)
        return Mixing(dirichlet_sample(self.concentration(table), table.alive, int(noise)), support_of(table.alive))

    def expected(self, table: ChoiceTable | Tensor, progress: Progress) -> Mixing:
        """Return the mean of the distribution."""
        table = as_table(table)
        return Mixing(dirichlet_mean(self.concentration(table), table.alive), support_of(table.alive))

    def concentration(self, table: ChoiceTable) -> Tensor:
        """Return beta of the table, [rows, candidates]."""
        return concentration(table.logits)

    def log_density(self, table: ChoiceTable | Tensor, weights: Tensor, progress: Progress) -> Tensor:
        """Return log p(theta) of every row of a sample, [rows], differentiable in the table.

        Args:
            table: the choices that it was drawn from.
            weights: theta, [rows, candidates], taken as constant.
            progress: when.
        """
        table = as_table(table)
        return dirichlet_log_density(self.concentration(table), weights, table.alive)
