"""A supernet runs exactly the support that it is given, and says which slices of its weights that uses."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.supernet.small import logits_of, masked, small
from torch import Tensor, nn

from archgrad.choices import Mixing, Progress, Softmax, full_support
from archgrad.network.modules import OPERATIONS, STACKABLE
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.storage import SeparateBank, StackedBank


def count_calls(network: ImageSupernet) -> tuple[Counter[str], Counter[str]]:
    """Count the calls of every stacked operation, and of the slices through the tensors that they are lent."""
    calls: Counter[str] = Counter()
    slices: Counter[str] = Counter()
    for name, bank in network.named_modules():
        if isinstance(bank, StackedBank):
            bank.operation.register_forward_hook(lambda module, given, out, name=name: calls.update([name]))
            run = bank.run

            def counted(index: int, x: Tensor, name: str = name, run: object = run) -> Tensor:
                slices.update([f"{name} {index}"])
                out: Tensor = run(index, x)  # type: ignore[operator]
                return out

            bank.run = counted  # type: ignore[method-assign]
    return calls, slices


@settings(max_examples=8)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_exactly_the_support_is_run(seed: int, share: bool, density: float) -> None:
    network = small(1, nodes=3, share=share)
    calls, slices = count_calls(network)
    cell = network.space.cells["normal"]
    mixing = masked(Mixing(torch.ones(len(cell.edges), 8), full_support(len(cell.edges), 8)), density, seed)
    network(torch.rand(2, 2, 4, 4), {"normal": mixing})
    expected: Counter[str] = Counter()
    for row, (source, target) in enumerate(cell.edges):
        for column, name in enumerate(cell.operations):
            if mixing.support[row][column] and name != "none":
                place = 0 if share else target - max(source + 1, 2)
                expected[f"cells.0.storage.{source}_{name} {place}"] = 1  # a shared feature is computed once
    assert slices == expected
    assert sum(calls.values()) == len(expected)
    assert set(calls) == {key.split()[0] for key in expected}


def test_the_support_decides_and_not_the_weights() -> None:
    network = small(1, nodes=1)
    calls, _ = count_calls(network)
    support = full_support(2, 8)
    zeros = Mixing(torch.zeros(2, 8, requires_grad=True), support)
    network(torch.rand(2, 2, 4, 4), {"normal": zeros}).sum().backward()
    assert sum(calls.values()) == 2 * 7
    assert zeros.weights.grad is not None
    assert float(zeros.weights.grad[:, 4:].abs().sum()) > 0  # weight 0 still learns


@pytest.mark.parametrize(("share", "expected"), [(False, 14), (True, 5)])
def test_sharing_features_evaluates_each_source_once(share: bool, expected: int) -> None:
    network = small(1, share=share)
    calls, _ = count_calls(network)
    mixings = {kind: Softmax()(table.float(), Progress()) for kind, table in logits_of(network).items()}
    network(torch.rand(2, 2, 4, 4), mixings)
    kinds = 7
    print(f"operations computed in a cell, share_features={share}: {sum(calls.values())}")
    assert sum(calls.values()) == expected * kinds


@settings(max_examples=8)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from([0.1, 0.4, 1.0]))
def test_live_slices_are_those_with_a_gradient(seed: int, share: bool, density: float) -> None:
    network = small(1, nodes=3, share=share).double()
    cell = network.space.cells["normal"]
    full = Mixing(torch.ones(len(cell.edges), 8, dtype=torch.float64), full_support(len(cell.edges), 8))
    mixing = masked(full, density, seed)
    live = network.live_slices({"normal": mixing})
    assert set(live) <= {name for name, _ in network.named_parameters()}
    images = torch.rand(3, 2, 6, 6, dtype=torch.float64)
    (network(images, {"normal": mixing}) * torch.randn(3, 3, dtype=torch.float64)).sum().backward()
    for name, parameter in network.named_parameters():
        if ".storage." not in name:
            assert name not in live
            continue
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        moved = {index for index in range(parameter.shape[0]) if float(gradient[index].abs().sum()) > 0}
        assert moved == set(live.get(name, range(parameter.shape[0]))), name


def test_layers_of_one_kind_may_be_given_different_mixings() -> None:
    network = small(2, nodes=1)
    calls, _ = count_calls(network)
    skip = Mixing(torch.ones(2, 8), ((False,) * 3 + (True,) + (False,) * 4,) * 2)
    pool = Mixing(torch.ones(2, 8), ((False, True) + (False,) * 6,) * 2)
    network(torch.rand(2, 2, 4, 4), [{"normal": skip}, {"normal": pool}])
    assert set(calls) == {
        f"cells.{i}.storage.{s}_{n}" for s in (0, 1) for i, n in ((0, "skip_connect"), (1, "max_pool_3x3"))
    }
    live = network.live_slices([{"normal": skip}, {"normal": pool}])
    assert live["cells.0.storage.0_sep_conv_3x3.operation.1.weight"] == frozenset()


def test_operations_of_the_users_own_run_unstacked_and_equal_stacked_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(channels: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
        return nn.Sequential(
            nn.Tanh(), nn.Conv2d(channels, channels, 3, stride, 1), nn.BatchNorm2d(channels, affine=affine)
        )

    monkeypatch.setitem(OPERATIONS, "tanh_conv", own)
    space = DartsSpace(operations=("skip_connect", "tanh_conv"), nodes=2)()

    def built(kind: type[nn.Module], found: int) -> ImageSupernet:
        torch.manual_seed(4)
        network = ImageSupernet(space, cells=3, channels=2, in_channels=2, classes=3)
        assert len([module for module in network.modules() if isinstance(module, kind)]) == found
        return network

    separate = built(SeparateBank, 3 * 3)
    monkeypatch.setattr("archgrad.supernet.storage.STACKABLE", STACKABLE | {"tanh_conv"})
    stacked = built(StackedBank, 3 * 3 * 2)
    mixings = {kind: Softmax()(torch.randn(5, 2), Progress()) for kind in space.cells}
    images = torch.rand(4, 2, 8, 8)
    torch.testing.assert_close(separate(images, mixings), stacked(images, mixings))
    dead = Mixing(torch.ones(5, 2), ((True, True), (True, False), (True, True), (True, True), (True, False)))
    live = separate.live_slices({"normal": dead, "reduce": dead})
    unused = {name.split(".operations.")[0][-11:] + name.split(".operations.")[1][:1] for name in live}
    assert unused == {"1_tanh_conv0", "2_tanh_conv0"}
    assert set(live.values()) == {frozenset()}
