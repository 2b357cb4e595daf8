"""``python -m benchmarks credit``: how noisy estimators of SNAS' search gradient are, and how soon they find a cell.

A toy cell of three edges and eight candidates, each a fixed linear map; the target is what the same cell computes with
one planted candidate on every edge. What is measured: the variance of one sample's gradient at the start, and the
updates until the strongest candidate of every edge is the planted one and stays so.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from archgrad.choices import ChoiceTable, Concrete, Progress
from archgrad.engine.credit import edge_credit, score_function_gradient

__all__ = ["Toy", "find", "main", "variance"]

ESTIMATORS = ("pathwise", "credit", "score_function", "score_function_baseline")
EDGES = ((0, 1), (0, 2), (1, 2))
STAY = 20


class Toy:
    """A cell with a planted best candidate on every edge.

    Args:
        seed: of maps, planted candidates and draws.
        candidates: on every edge.
        features: of a node's state.
        batch: examples in one loss.
    """

    def __init__(self, seed: int, candidates: int = 8, features: int = 8, batch: int = 16) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        shape = (len(EDGES), candidates, features, features)
        self.maps = torch.randn(shape, generator=self.generator, dtype=torch.float64) / features**0.5
        self.planted = torch.randint(candidates, (len(EDGES),), generator=self.generator)
        self.batch, self.features = batch, features
        self.table = ChoiceTable(torch.ones(len(EDGES), candidates, dtype=torch.float64))
        self.relaxation = Concrete(start=1.0, end=0.03, deviation=0.0)
        self.baseline: float | None = None

    def items(self) -> list[tuple[str, ChoiceTable]]:
        """Return the one table, as choices do."""
        return [("cell", self.table)]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return what is trained, as choices do."""
        return self.table.parameters()

    def output(self, samples: Tensor, x: Tensor) -> Tensor:
        """Return the sum of the nodes' states [batch, features] under the samples [edges, candidates]."""
        states = {0: x}
        for edge, (source, target) in enumerate(EDGES):
            term = states[source] @ torch.einsum("k,kij->ij", samples[edge], self.maps[edge]).T
            states[target] = states[target] + term if target in states else term
        return states[1] + states[2]

    def gradient(self, estimator: str, progress: Progress) -> Tensor:
        """Return one sample's estimate of the gradient of the expected loss with respect to log alpha."""
        noise = self.relaxation.noise(self.table, self.generator)
        samples = self.relaxation(self.table, progress, noise).weights
        given = samples if estimator == "pathwise" else samples.detach().requires_grad_()
        x = torch.randn(self.batch, self.features, generator=self.generator, dtype=torch.float64)
        planted = torch.nn.functional.one_hot(self.planted, samples.shape[1]).double()
        loss = (self.output(given, x) - self.output(planted, x)).square().mean()
        if estimator == "pathwise":
            return torch.autograd.grad(loss, self.table.logits)[0]
        if estimator == "credit":
            rewards = edge_credit(given.detach(), torch.autograd.grad(loss, given)[0])
        else:
            value = float(loss.detach())
            before = self.baseline if estimator.endswith("baseline") and self.baseline is not None else 0.0
            self.baseline = value if self.baseline is None else 0.95 * self.baseline + 0.05 * value
            rewards = torch.full((len(EDGES),), value - before, dtype=torch.float64)
        found = score_function_gradient(self, self.relaxation, progress, [{"cell": noise}], [{"cell": rewards}])  # type: ignore[arg-type]
        return found[0]


def variance(estimator: str, seed: int, samples: int) -> tuple[float, float]:
    """Return the squared norm of the mean gradient and the summed variance of one sample, at the start of a search."""
    toy = Toy(seed)
    drawn = torch.stack([toy.gradient(estimator, Progress(0.0, 0.25)) for _ in range(samples)])
    return float(drawn.mean(0).square().sum()), float(drawn.var(0).sum())


def find(estimator: str, seed: int, updates: int, rate: float) -> int | None:
    """Return after how many updates the planted candidates were the strongest for good, or None."""
    toy = Toy(seed)
    optimizer = torch.optim.Adam(toy.parameters(), rate, betas=(0.5, 0.999))
    right = 0
    for update in range(updates):
        toy.table.logits.grad = toy.gradient(estimator, Progress(update / updates, (update + 1) / updates))
        optimizer.step()
        right = right + 1 if torch.equal(toy.table.logits.argmax(dim=1), toy.planted) else 0
        if right == STAY:
            return update + 2 - STAY
    return None


def measure(estimator: str, seeds: int, samples: int, updates: int, rate: float) -> dict[str, object]:
    """Return one line of the table."""
    spread = [variance(estimator, seed, samples) for seed in range(seeds)]
    found = [find(estimator, seed, updates, rate) for seed in range(seeds)]
    done = [count if count is not None else updates for count in found]
    return {
        "estimator": estimator,
        "variance": statistics.median(v for _, v in spread),
        "variance_over_mean_square": statistics.median(v / m for m, v in spread),
        "found": sum(count is not None for count in found),
        "updates": statistics.median(done),
    }


def main(arguments: list[str]) -> None:
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks credit", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(arguments)
    rows: list[Mapping[str, object]] = []
    print(f"{'estimator':26}{'variance':>12}{'/ mean^2':>12}{'found':>10}{'updates':>10}")
    for estimator in ESTIMATORS:
        row = measure(estimator, given.seeds, given.samples, given.updates, given.rate)
        rows.append(row)
        found = f"{row['found']}/{given.seeds}"
        print(
            f"{estimator:26}{row['variance']:12.3g}{row['variance_over_mean_square']:12.3g}{found:>10}"
            f"{row['updates']:10.0f}"
        )
    if given.output:
        given.output.write_text(json.dumps({"settings": vars(given) | {"output": None}, "rows": rows}, indent=1) + "\n")
