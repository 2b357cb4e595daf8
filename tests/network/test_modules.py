"""Every operation against the same thing worked out number by number, on even and odd sides."""

from __future__ import annotations

import math

import pytest
import torch
from tests.network import by_hand
from torch import nn

from archgrad.network.modules import (
    OPERATIONS,
    FactorizedReduce,
    Pool,
    ReducingStem,
    ReluConvolutionNorm,
    Stem,
    drop_path,
    make_operation,
)
from archgrad.space.darts import DARTS_OPERATIONS
from archgrad.space.extended import EXTENDED_OPERATIONS

SIDES = [(8, 8), (7, 5), (6, 9), (3, 3), (1, 2)]


@pytest.mark.parametrize("pool_norm", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", EXTENDED_OPERATIONS)
def test_operations_are_what_the_paper_describes(name: str, stride: int, pool_norm: bool) -> None:
    channels = 4
    operation = make_operation(name, channels, stride, affine=False, pool_norm=pool_norm).double()
    weights = list(operation.parameters())
    for height, width in SIDES:
        x = torch.randn(3, channels, height, width, dtype=torch.float64, requires_grad=True)
        found, expected = operation(x), by_hand.operation(name, x, weights, stride, pool_norm)
        assert found.shape == (3, channels, math.ceil(height / stride), math.ceil(width / stride))
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        if not expected.requires_grad:
            assert name == "none"
            continue
        coefficients = torch.randn_like(expected)
        inputs = [x, *weights]
        for mine, theirs in zip(
            torch.autograd.grad((coefficients * found).sum(), inputs),
            torch.autograd.grad((coefficients * expected).sum(), inputs),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "stride", "weights"),
    [
        ("none", 2, 0),
        ("max_pool_3x3", 2, 0),
        ("avg_pool_3x3", 1, 0),
        ("skip_connect", 1, 0),
        ("skip_connect", 2, 6 * 6),
        ("sep_conv_3x3", 2, 2 * (6 * 9 + 6 * 6)),
        ("sep_conv_5x5", 1, 2 * (6 * 25 + 6 * 6)),
        ("dil_conv_3x3", 2, 6 * 9 + 6 * 6),
        ("dil_conv_5x5", 1, 6 * 25 + 6 * 6),
        ("sep_conv_7x7", 2, 2 * (6 * 49 + 6 * 6)),
        ("conv_7x1_1x7", 2, 2 * 7 * 6 * 6),
        ("conv_1x1", 1, 6 * 6),
        ("conv_3x3", 2, 9 * 6 * 6),
    ],
)
def test_weights_and_norms_are_counted_by_the_papers_formulas(name: str, stride: int, weights: int) -> None:
    plain = make_operation(name, 6, stride, affine=False)
    assert sum(p.numel() for p in plain.parameters()) == weights
    affine = make_operation(name, 6, stride, affine=True, pool_norm=True)
    norms = [module for module in affine.modules() if isinstance(module, nn.BatchNorm2d)]
    expected = {"none": 0, "max": 1, "avg": 1, "skip": stride - 1, "sep": 2, "dil": 1, "conv": 1}[name.split("_")[0]]
    assert len(norms) == expected
    assert sum(p.numel() for p in affine.parameters()) == weights + 2 * 6 * expected


def test_the_eight_operations_are_registered_in_their_order() -> None:
    assert tuple(name for name in OPERATIONS if name in DARTS_OPERATIONS) == DARTS_OPERATIONS


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown operation 'conv'"):
        make_operation("conv", 4)


@pytest.mark.parametrize("outputs", [4, 5])
def test_factorised_reduce_keeps_every_pixel_and_halves_odd_sides_upwards(outputs: int) -> None:
    reduce = FactorizedReduce(3, outputs).double()
    with torch.no_grad():
        reduce.norm.weight.uniform_(0.5, 2)
        reduce.norm.bias.uniform_(-1, 1)
    for height, width in SIDES:
        x = torch.randn(4, 3, height, width, dtype=torch.float64)
        plain = by_hand.factorised(x, [reduce.even.weight, reduce.odd.weight])
        expected = plain * reduce.norm.weight.view(1, -1, 1, 1) + reduce.norm.bias.view(1, -1, 1, 1)
        torch.testing.assert_close(reduce(x), expected, rtol=1e-10, atol=1e-10)
    x = torch.rand(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((reduce(x) ** 3).sum(), x)
    used = gradient.abs().sum(dim=(0, 1)) > 0
    diagonal = torch.arange(6).view(-1, 1) % 2 == torch.arange(6).view(1, -1) % 2
    assert torch.equal(used, diagonal)  # (even, even) by one convolution, (odd, odd) by the other


def test_the_first_layer_of_a_cell_is_relu_1x1_norm() -> None:
    layer = ReluConvolutionNorm(3, 5).double()
    x = torch.randn(4, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(
        layer(x), by_hand.relu_convolution(x, list(layer.parameters())[:1]), rtol=1e-10, atol=1e-10
    )


def test_the_stem_normalises_images_by_its_own_buffers() -> None:
    stem = Stem(2, 3, mean=(0.25, 0.5), std=(0.5, 2.0)).double()
    images = torch.rand(4, 2, 5, 6, dtype=torch.float64)
    x = torch.stack([(images[:, 0] - 0.25) / 0.5, (images[:, 1] - 0.5) / 2.0], dim=1)
    weight = stem.convolution.weight
    columns = [
        sum((by_hand.depthwise(x[:, c : c + 1], weight[d, c][None, None]) for c in range(2)), torch.zeros(()))
        for d in range(3)
    ]
    expected = by_hand.normalised(torch.cat(columns, dim=1))
    torch.testing.assert_close(stem(images), expected, rtol=1e-10, atol=1e-10)
    assert {"mean", "std"} <= set(stem.state_dict())
    bare = Stem(2, 3)
    assert torch.equal(bare.mean, torch.zeros(1, 2, 1, 1))
    assert torch.equal(bare.std, torch.ones(1, 2, 1, 1))


def test_average_pooling_counts_only_pixels_of_the_image() -> None:
    assert torch.equal(Pool("average", 1)(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_drop_path_drops_whole_examples_and_keeps_the_mean(probability: float) -> None:
    count = 20_000
    x = torch.rand(count, 2, 1, 2) + 0.5
    dropped = drop_path(x, probability)
    kept = dropped.flatten(1).abs().sum(1) > 0
    torch.testing.assert_close(dropped[kept], x[kept] / (1 - probability))
    assert float(dropped[~kept].abs().sum()) == 0
    deviation = math.sqrt(probability * (1 - probability) / count)
    assert abs(float(kept.float().mean()) - (1 - probability)) < 5 * deviation
    assert abs(float(dropped.mean() / x.mean()) - 1) < 5 * deviation / (1 - probability) * 1.1


def test_drop_path_without_probability_is_nothing() -> None:
    x = torch.rand(3, 2)
    assert drop_path(x, 0.0) is x


def test_the_stem_for_imagenet_leaves_an_eighth_of_the_sides() -> None:
    stem = ReducingStem(3, 6, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)).double()
    assert {"mean", "std"} <= set(stem.state_dict())
    images = torch.rand(2, 3, 224, 200, dtype=torch.float64)
    farther, nearer = stem.states(images)
    assert (farther.shape, nearer.shape) == ((2, 6, 56, 50), (2, 6, 28, 25))
    images = torch.rand(2, 3, 16, 17, dtype=torch.float64)
    farther, nearer = stem.states(images)
    x = (images - stem.mean) / stem.std
    first, second, third = [w for w in stem.parameters() if w.dim() == 4]
    x = by_hand.normalised(by_hand.convolution(x, first)[:, :, ::2, ::2])
    x = by_hand.normalised(by_hand.convolution(by_hand.relu(x), second)[:, :, ::2, ::2])
    torch.testing.assert_close(farther, x, rtol=1e-9, atol=1e-9)
    x = by_hand.normalised(by_hand.convolution(by_hand.relu(x), third)[:, :, ::2, ::2])
    torch.testing.assert_close(nearer, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(stem(images), nearer, rtol=1e-9, atol=1e-9)
