"""Small supernets, choices and supports for the tests of this room."""

from __future__ import annotations

import torch
from torch import Tensor

from archgrad.choices import Mixing
from archgrad.choices.mixing import support_of
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet

MEAN, STD = (0.3, 0.6), (0.5, 0.25)


def small(
    cells: int = 1,
    *,
    nodes: int = 4,
    share: bool = False,
    node_norm: bool = False,
    drop_path: float = 0.0,
    evaluation: str = "reference",
    steady: bool = False,
) -> ImageSupernet:
    return ImageSupernet(
        DartsSpace(nodes=nodes)(),
        cells=cells,
        channels=2,
        in_channels=2,
        classes=3,
        share_features=share,
        node_norm=node_norm,
        mean=MEAN,
        std=STD,
        drop_path=drop_path,
        evaluation=evaluation,
        steady=steady,
    )


def logits_of(network: ImageSupernet, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        kind: torch.randn(
            len(cell.edges), len(cell.operations), generator=generator, dtype=torch.float64
        ).requires_grad_()
        for kind, cell in network.space.cells.items()
    }


def masked(mixing: Mixing, share: float, seed: int = 0) -> Mixing:
    """Return a mixing in which each candidate runs with a probability."""
    kept = torch.rand(mixing.weights.shape, generator=torch.Generator().manual_seed(seed)) < share
    return Mixing(mixing.weights * kept, support_of(kept))
