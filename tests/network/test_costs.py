"""The declared costs are the published formulas, and those of the built modules where both mean the same thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import archgrad
from archgrad.errors import InputError
from archgrad.network.build import count_flops
from archgrad.network.costs import (
    count_cost,
    count_memory_access,
    edge_place,
    layer_sides,
    operation_cost,
    stem_sides,
)
from archgrad.network.image import ImageNetwork
from archgrad.network.modules import COSTS, OPERATIONS, Cost, make_operation
from archgrad.space.extended import EXTENDED_OPERATIONS
from archgrad.space.skeleton import Layer, Skeleton

Formula = Callable[[Fraction, Fraction], tuple[Fraction, ...]]


def separable(k: int, maps: int) -> Formula:
    def formula(C: Fraction, y: Fraction) -> tuple[Fraction, ...]:
        P = 2 * C * k**2 + 2 * C**2
        return P, P * y**2, maps * C * y**2 + P

    return formula


def dilated(k: int, maps: int) -> Formula:
    def formula(C: Fraction, y: Fraction) -> tuple[Fraction, ...]:
        P = C * k**2 + C**2
        return P, P * y**2, maps * C * y**2 + P

    return formula


def pool(maps: int) -> Formula:
    return lambda C, y: (Fraction(0), 9 * C * y**2, maps * C * y**2)


# the published table, line by line: C channels, y side of the output
TABLE: dict[tuple[str, int], Formula] = {
    ("none", 1): lambda C, y: (Fraction(0), Fraction(0), Fraction(0)),
    ("none", 2): lambda C, y: (Fraction(0), Fraction(0), Fraction(0)),
    ("max_pool_3x3", 1): pool(2),
    ("max_pool_3x3", 2): pool(5),
    ("avg_pool_3x3", 1): pool(2),
    ("avg_pool_3x3", 2): pool(5),
    ("skip_connect", 1): lambda C, y: (Fraction(0), Fraction(0), 2 * C * y**2),
    ("skip_connect", 2): lambda C, y: (C**2, C**2 * y**2, 2 * y**2 * (4 * C + C / 2) + C**2),
    ("sep_conv_3x3", 1): separable(3, 8),
    ("sep_conv_3x3", 2): separable(3, 11),
    ("sep_conv_5x5", 1): separable(5, 8),
    ("sep_conv_5x5", 2): separable(5, 11),
    ("dil_conv_3x3", 1): dilated(3, 4),
    ("dil_conv_3x3", 2): dilated(3, 7),
    ("dil_conv_5x5", 1): dilated(5, 4),
    ("dil_conv_5x5", 2): dilated(5, 7),
}


@pytest.mark.parametrize(("name", "stride"), TABLE)
@pytest.mark.parametrize(("channels", "side"), [(16, 32), (32, 16), (6, 8)])
def test_the_declared_costs_are_the_published_ones(name: str, stride: int, channels: int, side: int) -> None:
    expected = TABLE[name, stride](Fraction(channels), Fraction(side, stride))
    assert tuple(operation_cost(name, channels, stride, (side, side))) == expected


def test_every_operation_of_the_papers_declares_its_cost() -> None:
    # with stride 2 the sides between the two convolutions of this one depend on whether they are odd: it is counted
    assert set(COSTS) == set(EXTENDED_OPERATIONS) - {"conv_7x1_1x7"} <= set(OPERATIONS)


@pytest.mark.parametrize("name", tuple(COSTS))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(8, 8), (6, 10), (7, 9)])
def test_declared_and_counted_costs_agree_where_they_mean_the_same(
    name: str, stride: int, sides: tuple[int, int]
) -> None:
    declared = operation_cost(name, 6, stride, sides)
    module = make_operation(name, 6, stride, affine=False, pool_norm=True)
    counted = count_cost(module, (6, *sides))
    assert declared.parameters == sum(p.numel() for p in module.parameters()) == counted.parameters
    assert declared.flops == counted.flops
    if not name.endswith("pool_3x3") and list(module.parameters()):  # torch's own count has no poolings
        assert declared.flops == count_flops(module, (6, *sides))
    if name == "skip_connect" and stride == 1:
        # an identity moves nothing by itself: the published count reads and writes the map
        assert (declared.memory_access, counted.memory_access) == (2 * 6 * sides[0] * sides[1], 0)
    elif name == "skip_connect" or (name != "none" and stride == 2 and sides == (7, 9)):
        # the published count takes every input as four times the output: not so for odd sides, nor for the second
        # convolution of a factorised reduction, which reads a map that is a row and a column short
        assert counted.memory_access < declared.memory_access
    else:
        assert declared.memory_access == counted.memory_access


def test_an_unknown_operation_is_said() -> None:
    with pytest.raises(InputError, match="Did you mean 'sep_conv_3x3'"):
        operation_cost("sep_conv_3", 4, 1, (8, 8))


class Own(nn.Module):
    """A user's operation, written with functions, with a bias and a module of its own."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, channels, 3, 3))
        self.mix = nn.Linear(channels, channels)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(F.max_pool2d(x, (1, 3), stride=1, padding=(0, 1)), self.weight, stride=self.stride, padding=1)
        scale: Tensor = self.mix(x.mean(dim=(2, 3)))
        return x * scale[:, :, None, None]


@pytest.fixture
def own() -> Iterator[str]:
    OPERATIONS["own"] = lambda channels, stride, affine, pool_norm: Own(channels, stride)
    yield "own"
    del OPERATIONS["own"]


def test_an_operation_of_the_users_own_is_counted(own: str) -> None:
    state = torch.get_rng_state()
    cost = operation_cost(own, 4, 2, (8, 6))
    assert torch.equal(torch.get_rng_state(), state)  # a search must not depend on whether something was counted
    weights, read, written = 4 * 4 * 9, 4 * 8 * 6, 4 * 4 * 3
    assert cost.parameters == weights + 4 * 4 + 4
    assert cost.flops == 3 * read + weights * 4 * 3 + 4 * 4
    assert cost.memory_access == 2 * read + (read + weights + written) + (4 + 16 + 4 + 4)


def test_counting_leaves_a_module_in_its_mode() -> None:
    module = make_operation("sep_conv_3x3", 2).train()
    count_cost(module, (2, 4, 4))
    assert module.training
    assert int(module[3].num_batches_tracked) == 0  # type: ignore[index]


def test_reductions_halve_the_sides_of_what_follows() -> None:
    layers = Skeleton().layers(4, 8)
    assert [layer.reduction for layer in layers] == [False, True, True, False]
    assert layer_sides(layers, (9, 16)) == ((9, 16), (9, 16), (5, 8), (3, 4))


def test_edges_from_a_reduction_cells_inputs_halve_and_others_do_not() -> None:
    normal, reduction = Layer("normal", 4, False), Layer("reduce", 8, True)
    assert edge_place(normal, (9, 16), True) == edge_place(normal, (9, 16), False) == (1, (9, 16))
    assert edge_place(reduction, (9, 16), True) == (2, (9, 16))
    assert edge_place(reduction, (9, 16), False) == (1, (5, 8))


def test_a_networks_memory_access_is_that_of_its_edges_and_the_rest() -> None:
    cell = archgrad.published("SNAS_MILD")
    network = archgrad.build(cell, cells=3, channels=4, in_channels=1, classes=10)
    assert isinstance(network, ImageNetwork)
    assert not any(module._forward_hooks for module in network.modules())
    # stem; preprocessing by hand: 1x1 (C_in + C_out) y^2 + P, factorised as in the table with the shifted map smaller
    total = (1 + 12) * 64 + 9 * 12
    layers = Skeleton().layers(3, 4)
    edges, sources, side = 0, [(12, 8), (12, 8)], 8
    for index, layer in enumerate(layers):
        for position, (width, at) in enumerate(sources):
            weights = width * layer.channels
            if index and layers[index - 1].reduction and position == 0:
                halves = (at // 2) ** 2
                total += width * (at**2 + (at - 1) ** 2) + layer.channels * halves + weights
            else:
                total += (width + layer.channels) * at**2 + weights
        for edge in cell.cells[layer.cell].edges:
            stride = 2 if layer.reduction and edge.source < 2 else 1
            at = side if edge.source < 2 else side // (2 if layer.reduction else 1)
            cost = operation_cost(edge.operation, layer.channels, stride, (at, at))
            if edge.operation == "skip_connect" and stride == 2:
                cost = count_cost(make_operation("skip_connect", layer.channels, 2), (layer.channels, at, at))
            edges += cost.memory_access
        side = side // 2 if layer.reduction else side
        sources = [sources[1], (4 * layer.channels, side)]
    classifier = sources[1][0] + 10 + 10 * sources[1][0] + 10
    assert count_memory_access(network, (1, 8, 8)) == total + edges + classifier
    assert not any(module._forward_hooks for module in network.modules())


def test_a_cost_is_nothing_unless_said() -> None:
    assert Cost() == (0, 0, 0)


def test_poolings_to_a_given_size_count_the_pixels_under_their_windows() -> None:
    cost = count_cost(nn.AdaptiveAvgPool2d(2), (3, 8, 6))
    assert cost == (0, 3 * 8 * 6, 3 * 8 * 6 + 3 * 4)


def test_stems_keep_the_sides_or_leave_an_eighth_of_them() -> None:
    state = torch.get_rng_state()
    assert stem_sides("plain", (9, 16)) == ((9, 16), (9, 16))
    assert stem_sides("imagenet", (224, 100)) == ((56, 25), (28, 13))
    assert torch.equal(torch.get_rng_state(), state)
