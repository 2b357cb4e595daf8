"""The fast evaluation of plain convolutions equals the reference: outputs, all gradients, running statistics."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tests.supernet.fast.test_cell import assert_equal, everything, random_mixings
from torch import Tensor

from archgrad.choices import Mixing, transit
from archgrad.space import CellSpace, Skeleton, Space, get
from archgrad.space.darts import DARTS_OPERATIONS
from archgrad.supernet import ImageSupernet
from archgrad.supernet.fast.plain import suits
from archgrad.supernet.image import frozen_statistics


def pair(*, share: bool = False, node_norm: bool = False, drop: float = 0.0) -> tuple[ImageSupernet, ImageSupernet]:
    """Return reference and fast supernet with the same weights and statistics, in float64."""
    nets = [
        ImageSupernet(
            get("nasbench201"),
            cells=3,
            channels=2,
            in_channels=2,
            classes=3,
            share_features=share,
            node_norm=node_norm,
            drop_path=drop,
            evaluation=evaluation,
        ).double()
        for evaluation in ("reference", "fast")
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    return nets[0], nets[1]


def inputs() -> Tensor:
    return torch.rand(4, 2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()


def compared(nets: Sequence[ImageSupernet], mixings: list[dict[str, Mixing]], leaves: list[Tensor]) -> None:
    found = []
    for net in nets:
        torch.manual_seed(0)  # the same dropped paths
        found.append(everything(net, mixings, leaves, inputs()))
    assert_equal(found[0], found[1])


@pytest.mark.parametrize(
    ("density", "share", "node_norm", "drop"),
    [(1.0, False, False, 0.0), (0.6, True, False, 0.4), (0.5, False, True, 0.4), (0.6, False, False, 0.0)],
)
def test_it_equals_the_reference(density: float, share: bool, node_norm: bool, drop: float) -> None:
    torch.manual_seed(0)
    nets = pair(share=share, node_norm=node_norm, drop=drop)
    mixings, leaves = random_mixings(nets[0], density, 0)
    compared(nets, mixings, leaves)
    with frozen_statistics(nets[0]), frozen_statistics(nets[1]):
        compared(nets, mixings, leaves)
    for net in nets:
        net.eval()
    compared(nets, mixings, leaves)


def test_transit_cells_and_empty_nodes_are_the_same() -> None:
    nets = pair()
    cell = nets[0].space.cells["normal"]
    one = tuple(tuple(k == row % 5 for k in range(5)) for row in range(6))
    nothing = tuple((False,) * 5 for _ in cell.edges)
    weights = torch.zeros(6, 5, dtype=torch.float64)
    mixings = [{"normal": transit(support, weights)} for support in (one, nothing, one)]
    compared(nets, mixings, [])


def test_it_can_be_differentiated_twice() -> None:
    found = []
    for net in pair():
        mixings, leaves = random_mixings(net, 1.0, 0)
        (gradient,) = torch.autograd.grad(net(inputs(), mixings).square().sum(), leaves[0], create_graph=True)
        parameters = list(net.parameters())
        found.append(torch.autograd.grad(gradient.square().sum(), parameters, allow_unused=True))
    assert_equal(found[0], found[1])


def test_a_plain_average_of_statistics_goes_the_references_way() -> None:
    nets = pair()
    for net in nets:
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d) and not module.affine:
                module.momentum = None
    mixings, leaves = random_mixings(nets[0], 0.6, 0)
    compared(nets, mixings, leaves)


def test_other_candidates_are_left_to_the_other_fast_way() -> None:
    assert suits(get("nasbench201").cells["normal"])
    assert not suits(CellSpace(2, 2, DARTS_OPERATIONS))
    assert not suits(CellSpace(2, 2, ("conv_3x3", "max_pool_3x3")))
    cell = CellSpace(2, 2, ("conv_3x3", "max_pool_3x3"), pool_norm=False)
    assert suits(cell)
    two_inputs = Space("own", {"normal": cell, "reduce": cell}, Skeleton())
    nets = [
        ImageSupernet(two_inputs, cells=3, channels=2, in_channels=2, classes=3, evaluation=evaluation).double()
        for evaluation in ("reference", "fast")
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    mixings, leaves = random_mixings(nets[0], 0.7, 0)  # edges of stride 2 in its reduction cells
    compared(nets, mixings, leaves)
