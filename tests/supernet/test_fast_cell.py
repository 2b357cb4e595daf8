"""The fast evaluation of whole supernets equals the reference: outputs, all gradients, running statistics."""

from __future__ import annotations

import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.supernet.small import MEAN, STD
from torch import Tensor

from archgrad.choices import Mixing, transit
from archgrad.choices.mixing import Support, support_of
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet


def pair(
    cells: int = 3,
    *,
    nodes: int = 2,
    channels: int = 2,
    share: bool = False,
    node_norm: bool = False,
    drop: float = 0.0,
) -> tuple[ImageSupernet, ImageSupernet]:
    """Return reference and fast supernet with the same weights and statistics, in float64."""
    nets = tuple(
        ImageSupernet(
            DartsSpace(nodes=nodes)(),
            cells=cells,
            channels=channels,
            in_channels=2,
            classes=3,
            share_features=share,
            node_norm=node_norm,
            drop_path=drop,
            mean=MEAN,
            std=STD,
            evaluation=evaluation,
        ).double()
        for evaluation in ("reference", "fast")
    )
    nets[1].load_state_dict(nets[0].state_dict())
    return nets[0], nets[1]


def everything(
    net: ImageSupernet, mixings: list[dict[str, Mixing]], leaves: list[Tensor], x: Tensor
) -> list[Tensor | None]:
    """Return output, gradients of input, mixing weights and network weights, and the statistics afterwards."""
    out = net(x, mixings)
    loss = (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum() + out.square().mean()
    gradients = torch.autograd.grad(loss, [x, *leaves, *net.parameters()], allow_unused=True)
    return [out, *gradients, *net.buffers()]


def random_mixings(net: ImageSupernet, density: float, seed: int) -> tuple[list[dict[str, Mixing]], list[Tensor]]:
    """Return a mixing of its own for every layer, each candidate run with a probability, and all their weights."""
    generator = torch.Generator().manual_seed(seed)
    mixings, leaves = [], []
    for kind in net.kinds:
        cell = net.space.cells[kind]
        kept = torch.rand(len(cell.edges), len(cell.operations), generator=generator) < density
        weights = (torch.rand(kept.shape, generator=generator, dtype=torch.float64) * kept).requires_grad_()
        mixings.append({kind: Mixing(weights, support_of(kept))})
        leaves.append(weights)
    return mixings, leaves


def assert_equal(expected: list[Tensor | None], found: list[Tensor | None]) -> None:
    for one, other in zip(expected, found, strict=True):
        # a weight that nothing uses may be told by None or by zeros
        blank = one if one is not None else other
        if blank is not None:
            zero = torch.zeros_like(blank)
            torch.testing.assert_close(
                zero if other is None else other, zero if one is None else one, rtol=1e-9, atol=1e-9
            )


@settings(max_examples=15, deadline=None, phases=(Phase.generate,))
@given(
    cells=st.sampled_from([1, 3, 4]),
    nodes=st.integers(1, 4),
    sides=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    channels=st.integers(1, 3),
    share=st.booleans(),
    node_norm=st.booleans(),
    density=st.sampled_from([0.05, 0.3, 0.7, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_any_support_of_any_supernet(
    cells: int,
    nodes: int,
    sides: tuple[int, int],
    channels: int,
    share: bool,
    node_norm: bool,
    density: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    reference, fast = pair(cells, nodes=nodes, channels=channels, share=share, node_norm=node_norm)
    mixings, leaves = random_mixings(reference, density, seed)
    x = torch.rand(3, 2, *sides, dtype=torch.float64, requires_grad=True)
    assert_equal(*(everything(net, mixings, leaves, x) for net in (reference, fast)))


def test_transit_cells_run_the_support_with_weights_one() -> None:
    reference, fast = pair(3)
    support: Support = tuple(tuple(column == row % 7 + 1 for column in range(8)) for row in range(5))
    mixing = transit(support, reference.classifier.weight)
    x = torch.rand(3, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    assert_equal(
        *(everything(net, [dict.fromkeys(("normal", "reduce"), mixing)] * 3, [], x) for net in (reference, fast))
    )
