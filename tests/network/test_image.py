"""The derived network: what a cell sums, where sides halve, the auxiliary head, sizes and costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.network import by_hand
from torch import Tensor, nn

import archgrad
from archgrad.architecture import Architecture, Cell, Edge
from archgrad.errors import InputError
from archgrad.network.build import blueprint, fitting_stem
from archgrad.network.image import AuxiliaryHead, ImageNetwork
from archgrad.network.image import Cell as RunningCell
from archgrad.network.modules import FactorizedReduce
from archgrad.published import published


def running(description: Cell, *, reduction: bool = False, halve: bool = False, **flags: bool) -> RunningCell:
    """Return a cell of 4 channels on inputs of 3 and 5 channels, in float64, scales and offsets untouched."""
    return RunningCell(description.to_dict(), [3, 5], 4, reduction, [halve, False], flags).double()


def inputs(side: tuple[int, int], *, halve: bool = False) -> list[Tensor]:
    height, width = side
    far = (2 * height - 1, 2 * width) if halve else side
    return [torch.randn(3, 3, *far, dtype=torch.float64), torch.randn(3, 5, height, width, dtype=torch.float64)]


def expected_output(cell: RunningCell, description: Cell, given: list[Tensor], stride: int, **flags: bool) -> Tensor:
    """Compute a cell in training mode from its weights, edge by edge, the way the paper writes it."""
    states = []
    for preprocess, x in zip(cell.preprocess, given, strict=True):
        weights = [p for p in preprocess.parameters() if p.dim() == 4]
        far = isinstance(preprocess, FactorizedReduce)
        states.append(by_hand.factorised(x, weights) if far else by_hand.relu_convolution(x, weights))
    factors = description.weights or (1.0,) * len(description.edges)
    for node in range(2, 2 + description.nodes):
        total = torch.zeros_like(states[0][:, :, ::stride, ::stride])
        for edge, factor, operation in zip(description.edges, factors, cell.operations, strict=True):
            if edge.target == node:
                weights = [p for p in operation.parameters() if p.dim() == 4]
                step = stride if edge.source < 2 else 1
                pool_norm = flags.get("pool_norm", False)
                total = total + factor * by_hand.operation(
                    edge.operation, states[edge.source], weights, step, pool_norm
                )
        states.append(by_hand.normalised(total) if flags.get("node_norm") else total)
    return torch.cat([states[node] for node in description.output], dim=1)


MANY = Cell(
    2,
    4,
    (
        Edge(0, 2, "sep_conv_3x3"),
        Edge(0, 2, "max_pool_3x3"),  # two operations between the same nodes
        Edge(1, 2, "skip_connect"),
        Edge(1, 4, "dil_conv_5x5"),  # nothing goes into node 3
        Edge(2, 4, "avg_pool_3x3"),
        Edge(3, 5, "sep_conv_5x5"),
        Edge(4, 5, "skip_connect"),
        Edge(0, 5, "none"),
        Edge(1, 5, "dil_conv_3x3"),
    ),
    (2, 3, 4, 5),
)
FACTORS = (0.5, -2.0, 1.0, 0.25, 0.0, 3.0, 1.5, 1.0, -1.0)


@pytest.mark.parametrize("side", [(8, 8), (5, 7)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("pool_norm", "node_norm"), [(False, False), (True, True)])
@pytest.mark.parametrize(("reduction", "halve"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_cell_sums_its_edges(
    side: tuple[int, int], weighted: bool, pool_norm: bool, node_norm: bool, reduction: bool, halve: bool
) -> None:
    description = replace(MANY, weights=FACTORS if weighted else None)
    cell = running(description, reduction=reduction, halve=halve, pool_norm=pool_norm, node_norm=node_norm)
    given, stride = inputs(side, halve=halve), 2 if reduction else 1
    expected = expected_output(cell, description, given, stride, pool_norm=pool_norm, node_norm=node_norm)
    assert expected.shape == (3, 16, (side[0] + stride - 1) // stride, (side[1] + stride - 1) // stride)
    torch.testing.assert_close(cell(given), expected, rtol=1e-9, atol=1e-9)


def test_a_node_without_input_is_zero() -> None:
    out = running(MANY, reduction=True)(inputs((5, 7))).detach()
    assert torch.equal(out[:, 4:8], torch.zeros(3, 4, 3, 4, dtype=torch.float64))
    assert float(out[:, :4].abs().min()) > 0


def test_the_output_is_made_of_the_named_nodes_in_their_order() -> None:
    description = replace(MANY, output=(5, 2))
    cell = running(description)
    given = inputs((4, 4))
    torch.testing.assert_close(cell(given), expected_output(cell, description, given, 1), rtol=1e-9, atol=1e-9)


def test_drop_path_spares_identities_and_evaluation() -> None:
    skips = Cell(2, 2, (Edge(0, 2, "skip_connect"), Edge(1, 3, "sep_conv_3x3")), (2, 3))
    cell, given = running(skips), inputs((4, 4))
    plain, dropped = cell(given).detach(), cell(given, 0.999999).detach()
    assert torch.equal(dropped[:, :4], plain[:, :4])
    assert float(dropped[:, 4:].abs().sum()) == 0
    cell.eval()
    assert torch.equal(cell(given, 0.999999), cell(given))
    strided = running(skips, reduction=True)  # a skip that halves the sides has weights and may be dropped
    assert float(strided(inputs((4, 4)), 0.999999).detach().abs().sum()) == 0


def test_drop_path_keeps_the_expected_output() -> None:
    one = Cell(2, 1, (Edge(0, 2, "max_pool_3x3"),), (2,))
    cell, given = running(one), inputs((2, 2))
    plain = cell(given)
    mean = sum((cell(given, 0.3) for _ in range(3000)), torch.zeros(())) / 3000
    torch.testing.assert_close(mean, plain, rtol=0.06, atol=1e-9)


@pytest.mark.parametrize(("side", "stride"), [(8, 3), (7, 2), (6, 1)])
def test_the_auxiliary_head_is_the_published_one(side: int, stride: int) -> None:
    head = AuxiliaryHead(4, 3).double()
    x = torch.randn(5, 4, side, side, dtype=torch.float64)
    corners = [(a, b) for a in (0, stride) for b in (0, stride)]
    pooled = torch.stack([by_hand.relu(x)[:, :, a : a + 5, b : b + 5].mean(dim=(2, 3)) for a, b in corners], dim=2)
    first, second = [p for p in head.features.parameters() if p.dim() == 4]
    hidden = by_hand.relu(by_hand.normalised(by_hand.pointwise(pooled.view(5, 4, 2, 2), first)))
    wide = torch.einsum("nchw,dchw->nd", hidden, second).view(5, 768, 1, 1)
    features = by_hand.relu(by_hand.normalised(wide)).flatten(1)
    expected = features @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("side", [(1, 1), (2, 3), (5, 5), (9, 9), (8, 6)])
def test_the_auxiliary_head_takes_any_side(side: tuple[int, int]) -> None:
    assert AuxiliaryHead(4, 3)(torch.randn(5, 4, *side)).shape == (5, 3)


def test_the_auxiliary_head_sits_two_thirds_up_and_works_in_training_only() -> None:
    plan = blueprint(published("DARTS_V2"), cells=8, channels=2, in_channels=1, classes=3, auxiliary=True)
    network = ImageNetwork(plan)
    assert network.auxiliary_layer == 5  # DARTS: 2L // 3
    seen: list[Tensor] = []
    network.cells[5].register_forward_hook(lambda module, given, out: seen.append(out))
    logits, extra = network.with_auxiliary(torch.rand(4, 1, 8, 8))
    assert logits.shape == (4, 3)
    assert extra is not None
    assert extra.shape == (4, 3)
    torch.testing.assert_close(extra, network.auxiliary(seen[0]))
    network.eval()
    assert network.with_auxiliary(torch.rand(4, 1, 8, 8))[1] is None
    assert not [
        name for name in archgrad.build(published("DARTS_V2"), cells=3, channels=2).state_dict() if "aux" in name
    ]


def test_the_stack_is_the_published_one() -> None:
    network = archgrad.build(published("DARTS_V1"), cells=8, channels=4, in_channels=2, classes=5)
    assert isinstance(network, ImageNetwork)
    assert network.stem.convolution.out_channels == 12
    kinds = [[type(p).__name__ for p in cell.preprocess] for cell in network.cells]  # type: ignore[union-attr]
    plain, halving = ["ReluConvolutionNorm"] * 2, ["FactorizedReduce", "ReluConvolutionNorm"]
    assert kinds == [plain, plain, plain, halving, plain, plain, halving, plain]
    shapes: list[torch.Size] = []
    for cell in network.cells:
        cell.register_forward_hook(lambda module, given, out: shapes.append(out.shape))
    assert network(torch.rand(2, 2, 9, 12)).shape == (2, 5)
    assert [tuple(shape) for shape in shapes] == [
        *[(2, 16, 9, 12)] * 2,
        *[(2, 32, 5, 6)] * 3,
        *[(2, 64, 3, 3)] * 3,
    ]


def test_networks_for_large_images_have_the_published_size_and_begin_with_an_eighth_of_the_sides() -> None:
    """DARTS' ImageNet network (14 cells of 48 channels) has 4.7 M parameters in the paper, SNAS mild 3.94 M counted."""
    sizes = {
        name: archgrad.count_parameters(published(name), cells=14, channels=48, classes=1000, stem="imagenet")
        for name in ("DARTS_V2", "SNAS_MILD", "SNAS_MODERATE")
    }
    print({name: f"{count / 1e6:.2f} M" for name, count in sizes.items()})
    assert [round(count / 1e6, 2) for count in sizes.values()] == [4.72, 3.94, 4.31]
    network = archgrad.build(published("DARTS_V1"), cells=3, channels=4, classes=5, stem="imagenet", auxiliary=True)
    assert isinstance(network, ImageNetwork)
    assert type(network.cells[0].preprocess[0]).__name__ == "FactorizedReduce"  # type: ignore[index]
    shapes: list[torch.Size] = []
    for cell in network.cells:
        cell.register_forward_hook(lambda module, given, out: shapes.append(out.shape))
    out, extra = network.with_auxiliary(torch.rand(2, 3, 112, 112))
    assert out.shape == (2, 5)
    assert extra is not None
    assert [tuple(shape) for shape in shapes] == [(2, 16, 14, 14), (2, 32, 7, 7), (2, 64, 4, 4)]


def test_stems_follow_the_size_of_the_images_unless_they_are_named() -> None:
    assert [fitting_stem(None, (3, side, 300)) for side in (32, 64, 112, 224)] == ["plain"] * 2 + ["imagenet"] * 2
    assert fitting_stem("plain", (3, 224, 224)) == "plain"
    assert fitting_stem("imagenet", (1, 28, 28)) == "imagenet"
    with pytest.raises(InputError, match="Did you mean 'imagenet'"):
        archgrad.build(published("DARTS_V1"), stem="image_net")


def test_the_last_step_is_global_pooling_and_a_linear_map() -> None:
    network = archgrad.build(published("DARTS_V1"), cells=1, channels=4, in_channels=2, classes=5).double().eval()
    assert isinstance(network, ImageNetwork)
    images = torch.rand(2, 2, 6, 6, dtype=torch.float64)
    first = network.stem(images)
    features = network.cells[0]([first, first])
    expected = features.sum(dim=(2, 3)) / 36 @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(network(images), expected, rtol=1e-12, atol=1e-12)


def test_a_batch_norm_scale_and_offset_are_learned_everywhere_but_on_nodes() -> None:
    flags = {"pool_norm": True, "node_norm": True}
    network = archgrad.build(replace(published("DARTS_V2"), network=flags), cells=3, channels=4)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.affine is ("node_norms" not in name)


def test_costs_are_counted_by_hand() -> None:
    one = Cell(2, 1, (Edge(0, 2, "dil_conv_3x3"),), (2,))
    network = archgrad.build(Architecture("darts", {"normal": one}), cells=1, channels=4, in_channels=2, classes=5)
    pixels = 6 * 7
    multiplications = pixels * (9 * 2 * 12 + 2 * 12 * 4 + 9 * 4 + 4 * 4) + 4 * 5
    network.train()
    assert archgrad.count_flops(network, (2, 6, 7)) == multiplications
    assert network.training
    assert sum(p.numel() for p in network.parameters()) == (
        9 * 2 * 12 + 2 * 12 + 2 * (12 * 4 + 2 * 4) + 9 * 4 + 4 * 4 + 2 * 4 + 4 * 5 + 5
    )


@pytest.mark.parametrize("size", ["cells", "channels", "in_channels", "classes"])
def test_sizes_below_one_are_refused(size: str) -> None:
    sizes: dict[str, Any] = {"cells": 3, "channels": 4, "in_channels": 1, "classes": 2, size: 0}
    with pytest.raises(InputError, match=f"^{size} is 0; it must be at least 1"):
        archgrad.build(published("DARTS_V2"), **sizes)


def test_a_missing_cell_kind_is_named() -> None:
    normal = replace(published("DARTS_V2"), cells={"normal": published("DARTS_V2").cells["normal"]})
    assert archgrad.build(normal, cells=2, channels=4)(torch.rand(2, 3, 8, 8)).shape == (2, 10)
    with pytest.raises(InputError, match="no cell 'reduce', which a network of 3 cells needs; it has normal"):
        archgrad.build(normal, cells=3, channels=4)
