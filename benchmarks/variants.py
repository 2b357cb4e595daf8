"""The image supernets that step and memory compare, one step of each, and what other benchmarks need too.

It is no benchmark by itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.choices import Mixing, full_support
from archgrad.errors import InputError
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from benchmarks.public_layout import CANDIDATES, NaiveSupernet

__all__ = ["VARIANTS", "Step", "child", "circumstances", "options"]

VARIANTS = ("naive", "reference", "fast")


def options(
    words: Sequence[str], description: str | None, more: Callable[[argparse.ArgumentParser], object] = id
) -> argparse.Namespace:
    """Read the sizes, and what else ``more`` adds to the parser."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    more(parser)
    return parser.parse_args(words)


class Step:
    """One forward and backward of one variant, on the same images and full mixings.

    Args:
        variant: of :data:`VARIANTS`.
        sizes: cells, channels, batch, side.
    """

    def __init__(self, variant: str, sizes: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.network: nn.Module
        space = DartsSpace()()
        if variant == "naive":
            self.network = NaiveSupernet(sizes.cells, sizes.channels)
        else:
            self.network = ImageSupernet(space, cells=sizes.cells, channels=sizes.channels, evaluation=variant)
        rows = len(space.cells["normal"].edges)
        self.mixing = {kind: torch.rand(rows, CANDIDATES).requires_grad_() for kind in ("normal", "reduce")}
        given = {kind: Mixing(weights, full_support(rows, CANDIDATES)) for kind, weights in self.mixing.items()}
        self.given = self.mixing if variant == "naive" else given
        self.x = torch.rand(sizes.batch, 3, sizes.side, sizes.side)
        self.y = torch.arange(sizes.batch) % 10

    def forward(self, choices: bool) -> Tensor:
        """Return the loss; a choice step keeps the weights out of the graph, a weight step the choices."""
        for weight in self.network.parameters():
            weight.requires_grad_(not choices)
        for mixing in self.mixing.values():
            mixing.requires_grad_(choices)
        return functional.cross_entropy(self.network(self.x, self.given), self.y)

    def __call__(self, choices: bool) -> None:
        """Run the step and throw its gradients away."""
        loss = self.forward(choices)
        wanted = self.mixing.values() if choices else self.network.parameters()
        torch.autograd.grad(loss, list(wanted), allow_unused=True)

    @property
    def known(self) -> list[Tensor]:
        """What exists beside a step."""
        return [self.x, self.y, *self.mixing.values(), *self.network.parameters(), *self.network.buffers()]


def child(benchmark: str, variant: str, words: Sequence[str]) -> Any:
    """Return what a benchmark prints last, as JSON, about one variant in a fresh process: ``--child`` asks for it.

    Raises:
        InputError: the process failed; it has said why on stderr.
    """
    command = [sys.executable, "-m", "benchmarks", benchmark, *words, "--child", variant]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"'{variant}' failed in its own process; what it said stands above.")
    return json.loads(done.stdout.splitlines()[-1])


def circumstances() -> dict[str, str]:
    """Return commit, machine and versions."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    ).stdout.strip()
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), model
        )
    return {"commit": commit, "machine": model, "threads": str(torch.get_num_threads()), "torch": torch.__version__}
