"""The supernet equals the same network built plainly, and runs exactly the support that it is given."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tests.supernet.plain import PlainCell, copy_of, entries
from tests.supernet.small import MEAN, STD, logits_of, masked, small
from torch import nn
from torch.nn import functional as F

from archgrad.choices import Mixing, Progress, Softmax, full_support
from archgrad.errors import InputError
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.image import EVALUATIONS, frozen_statistics


def test_the_full_size_is_counted_to_the_last_weight() -> None:
    network = ImageSupernet(DartsSpace()(), cells=8, channels=16, in_channels=3, classes=10)
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"supernet of 8 cells, 16 channels, 10 classes: {count:,} weights")
    assert count == 1_930_618


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize(
    ("cells", "nodes", "side", "share", "node_norm", "support", "per_layer"),
    [
        (3, 4, (8, 8), False, False, 1.0, False),
        (3, 2, (7, 5), False, True, 0.4, True),
        (3, 4, (5, 6), True, True, 0.3, True),
        (5, 1, (6, 6), False, False, 1.0, True),
        (1, 3, (4, 4), True, False, 1.0, False),
    ],
)
def test_the_supernet_equals_the_plain_one(
    cells: int,
    nodes: int,
    side: tuple[int, int],
    share: bool,
    node_norm: bool,
    support: float,
    per_layer: bool,
    evaluation: str,
) -> None:
    network = small(cells, nodes=nodes, share=share, node_norm=node_norm, evaluation=evaluation).double()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        network.stem.norm.weight.uniform_(0.5, 2)
    plain = copy_of(network, MEAN, STD)

    tables = [logits_of(network, seed) for seed in range(cells if per_layer else 1)]
    layers: list[Mapping[str, Mixing]] = [
        {kind: masked(Softmax()(table, Progress()), support, seed) for kind, table in given.items()}
        for seed, given in enumerate(tables)
    ]
    mixings = layers if per_layer else layers * cells
    kinds = ["reduce" if cells > 2 and i in (cells // 3, 2 * cells // 3) else "normal" for i in range(cells)]
    assert network.kinds == tuple(kinds)

    choices = [table for given in tables for table in given.values()]
    images = torch.rand(4, 2, *side, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 2, 1, 1])
    mine = network(images, mixings if per_layer else mixings[0])
    theirs = plain(images, [mixing[kind] for mixing, kind in zip(mixings, kinds, strict=True)])
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)

    shared = [*choices, images]
    F.cross_entropy(mine, targets).backward(retain_graph=True)
    found = [None if x.grad is None else x.grad.clone() for x in shared]
    for x in shared:
        x.grad = None
    F.cross_entropy(theirs, targets).backward()
    for gradient, x in zip(found, shared, strict=True):
        assert (gradient is None) == (x.grad is None)
        if gradient is not None and x.grad is not None:
            torch.testing.assert_close(gradient, x.grad, rtol=1e-9, atol=1e-9)
    assert sum(gradient is not None and float(gradient.abs().sum()) > 0 for gradient in found) > len(found) / 2

    compared = 0
    for ours, stacked, place in plain.homes(network):
        for entry, stack in zip(entries(ours), entries(stacked), strict=True):
            # the numbers themselves: weights untouched, running statistics and batch counts moved alike
            torch.testing.assert_close(stack if place is None else stack[place], entry, rtol=1e-9, atol=1e-9)
            if isinstance(entry, nn.Parameter):
                expected = torch.zeros_like(entry) if entry.grad is None else entry.grad
                gradient = torch.zeros_like(stack) if stack.grad is None else stack.grad
                torch.testing.assert_close(
                    gradient if place is None else gradient[place], expected, rtol=1e-9, atol=1e-9
                )
                compared += entry.numel()
    assert compared == sum(parameter.numel() for parameter in network.parameters())

    network.eval()
    plain.eval()
    with torch.no_grad():
        again = plain(images, [mixing[kind] for mixing, kind in zip(mixings, kinds, strict=True)])
        torch.testing.assert_close(network(images, mixings if per_layer else mixings[0]), again, rtol=1e-9, atol=1e-9)


def test_a_single_number_of_the_copy_matters_to_the_comparison() -> None:
    network = small(3, nodes=2).double().eval()
    plain = copy_of(network, MEAN, STD).eval()
    images = torch.rand(2, 2, 8, 8, dtype=torch.float64)
    mixing = {kind: Softmax()(table, Progress()) for kind, table in logits_of(network).items()}
    with torch.no_grad():
        cell = plain.cells[1]
        assert isinstance(cell, PlainCell)
        entries(cell.candidates["1 3 dil_conv_5x5"])[0][0, 0, 2, 2] += 0.1
        difference = network(images, mixing) - plain(images, [mixing["normal"], mixing["reduce"], mixing["reduce"]])
    assert float(difference.abs().max()) > 1e-6


def test_mixings_that_do_not_fit_are_refused() -> None:
    network = small(3, nodes=1)
    mixing = Mixing(torch.ones(2, 8), full_support(2, 8))
    images = torch.rand(2, 2, 4, 4)
    with pytest.raises(InputError, match="No mixing was given for the cell kind 'reduce'"):
        network(images, {"normal": mixing})
    with pytest.raises(InputError, match="2 mixings were given for a supernet of 3 layers"):
        network(images, [{"normal": mixing, "reduce": mixing}] * 2)
    with pytest.raises(InputError, match="the cell has 2 edges with 8 candidates"):
        network(images, dict.fromkeys(("normal", "reduce"), Mixing(torch.ones(3, 8), full_support(3, 8))))


@pytest.mark.parametrize("size", ["cells", "channels", "in_channels", "classes"])
def test_sizes_and_names_are_checked(size: str) -> None:
    sizes: dict[str, Any] = {"cells": 1, "channels": 2, "in_channels": 1, "classes": 2, size: 0}
    with pytest.raises(InputError, match=f"supernet.{size} is 0"):
        ImageSupernet(DartsSpace()(), **sizes)
    with pytest.raises(InputError, match="'referense'.*Did you mean 'reference'"):
        ImageSupernet(DartsSpace()(), cells=1, channels=2, evaluation="referense")


def test_frozen_statistics_normalise_by_the_batch_and_write_nothing() -> None:
    network = small(1)
    mixings = {kind: Softmax()(table.float(), Progress()) for kind, table in logits_of(network).items()}
    images = torch.rand(4, 2, 8, 8)
    network(images, mixings)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    other = torch.rand(4, 2, 8, 8)
    with frozen_statistics(network):
        frozen = network(other, mixings)
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
    assert torch.equal(network(other, mixings), frozen)
    changed = [name for name, buffer in network.named_buffers() if not torch.equal(before[name], buffer)]
    assert {name.rsplit(".", 1)[1] for name in changed} == {"running_mean", "running_var", "num_batches_tracked"}
    with pytest.raises(ZeroDivisionError), frozen_statistics(network):
        raise ZeroDivisionError
    assert all(m.track_running_stats for m in network.modules() if isinstance(m, nn.BatchNorm2d))


def test_drop_path_is_for_training_and_spares_identities() -> None:
    network = small(1, nodes=1, drop_path=0.999999)
    sep = Mixing(torch.ones(2, 8), ((False,) * 4 + (True,) + (False,) * 3,) * 2)
    skip = Mixing(torch.ones(2, 8), ((False,) * 3 + (True,) + (False,) * 4,) * 2)
    images = torch.rand(2, 2, 4, 4)
    bias = network.classifier.bias.expand(2, 3)
    assert torch.equal(network(images, {"normal": sep}), bias)  # nothing comes through
    assert not torch.allclose(network(images, {"normal": skip}), bias)
    network.eval()
    assert not torch.allclose(network(images, {"normal": sep}), bias)


def test_a_supernet_that_was_used_can_be_copied() -> None:
    network = small(1, nodes=2)
    mixings = {kind: Softmax()(table.float(), Progress()) for kind, table in logits_of(network).items()}
    images = torch.rand(2, 2, 4, 4)
    network(images, mixings).sum().backward()
    again = copy.deepcopy(network)
    assert torch.equal(network(images, mixings), again(images, mixings))
