"""A bank of stacked weights is nothing but separate modules: outputs, gradients, statistics, initial values."""

from __future__ import annotations

import copy
import gc
import weakref
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from archgrad.network.modules import OPERATIONS, STACKABLE, make_operation
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DARTS_OPERATIONS
from archgrad.supernet.storage import CellStorage, SeparateBank, StackedBank

NAMES = [name for name in DARTS_OPERATIONS if name != "none"]
CHANNELS = 4


def fresh(name: str, stride: int) -> partial[nn.Module]:
    return partial(make_operation, name, CHANNELS, stride, affine=False, pool_norm=True)


def both(name: str, stride: int, slices: int = 3) -> tuple[StackedBank, list[nn.Module]]:
    """Return a bank and separate modules, built from the same seed, in float64."""
    torch.manual_seed(1)
    bank = StackedBank(fresh(name, stride), slices).double()
    torch.manual_seed(1)
    return bank, [fresh(name, stride)().double() for _ in range(slices)]


def stacks(bank: StackedBank) -> dict[str, Tensor]:
    return bank.operation.state_dict(keep_vars=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_bank_equals_separate_modules(name: str, stride: int) -> None:
    bank, modules = both(name, stride)
    for key, stack in stacks(bank).items():  # each slice starts as a fresh module would
        assert stack.shape[0] == 3
        for index, module in enumerate(modules):
            assert torch.equal(stack[index], module.state_dict()[key])
    given = [torch.randn(2, CHANNELS, 5, 6, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    calls = [(0, given[0]), (2, given[1]), (0, given[2])]  # slice 0 twice, slice 1 not at all
    weights = [torch.randn(()) for _ in calls]

    bank.bind()
    mine = [bank.run(index, x) for index, x in calls]
    theirs = [modules[index](x) for index, x in calls]
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)

    def total(outputs: list[Tensor]) -> Tensor:
        return sum((w * (out**3).sum() for w, out in zip(weights, outputs, strict=True)), torch.zeros(()))

    total(mine).backward()
    inputs = [x.grad for x in given]
    for x in given:
        x.grad = None
    total(theirs).backward()
    for gradient, x in zip(inputs, given, strict=True):
        assert gradient is not None
        assert x.grad is not None
        torch.testing.assert_close(gradient, x.grad, rtol=1e-9, atol=1e-9)
    for key, stack in stacks(bank).items():
        for index, module in enumerate(modules):
            single = module.state_dict(keep_vars=True)[key]
            torch.testing.assert_close(stack[index], single, rtol=1e-12, atol=1e-12)  # running statistics too
            if isinstance(stack, nn.Parameter):
                assert stack.grad is not None
                expected = torch.zeros_like(single) if single.grad is None else single.grad
                torch.testing.assert_close(stack.grad[index], expected, rtol=1e-9, atol=1e-9)

    bank.eval()
    bank.bind()
    for index, module in enumerate(modules):
        torch.testing.assert_close(bank.run(index, given[0]), module.eval()(given[0]), rtol=1e-12, atol=1e-12)


def test_every_forward_sees_the_newest_weights() -> None:
    bank, _ = both("sep_conv_3x3", 1)
    x = torch.randn(2, CHANNELS, 4, 4, dtype=torch.float64)
    bank.eval()
    bank.bind()
    before = bank.run(1, x)
    with torch.no_grad():
        for parameter in bank.parameters():
            parameter[1] *= -2
    bank.bind()
    assert not torch.allclose(bank.run(1, x), before)


def test_a_failing_operation_leaves_the_stacks_in_place() -> None:
    bank, _ = both("dil_conv_3x3", 1)
    shapes = {key: stack.shape for key, stack in stacks(bank).items()}
    bank.bind()
    with pytest.raises(RuntimeError):
        bank.run(0, torch.zeros(1, CHANNELS + 1, 4, 4, dtype=torch.float64))
    assert {key: stack.shape for key, stack in stacks(bank).items()} == shapes


def test_a_bank_that_was_used_can_be_copied() -> None:
    cell = CellSpace(2, 1, ("sep_conv_3x3", "skip_connect"))
    storage, x = CellStorage(cell, CHANNELS, False), torch.randn(2, CHANNELS, 4, 4)
    one = [(0, "sep_conv_3x3", 0)]
    with storage.bound(one):
        storage.bank(0, "sep_conv_3x3").run(0, x)
    again = copy.deepcopy(storage)
    with storage.bound(one), again.bound(one):
        torch.testing.assert_close(
            again.bank(0, "sep_conv_3x3").run(0, x), storage.bank(0, "sep_conv_3x3").run(0, x), rtol=0, atol=0
        )
    assert not {id(p) for p in storage.parameters()} & {id(p) for p in again.parameters()}


def test_a_bank_keeps_no_graph_alive_after_a_forward() -> None:
    storage = CellStorage(CellSpace(2, 1, ("dil_conv_3x3",)), CHANNELS, False)
    name, weight = next(iter(storage.named_parameters()))
    computed = weight * 1.0  # weights with a history, as an unrolled step has
    gone = weakref.ref(computed)

    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.storage = storage

        def forward(self, x: Tensor) -> Tensor:
            with self.storage.bound([(0, "dil_conv_3x3", 0)]):
                return self.storage.bank(0, "dil_conv_3x3").run(0, x)

    functional_call(Cell(), {f"storage.{name}": computed}, (torch.randn(2, CHANNELS, 4, 4),))
    del computed
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("bank_class", [StackedBank, SeparateBank])
@pytest.mark.parametrize("name", ["sep_conv_3x3", "max_pool_3x3", "skip_connect"])
def test_a_slice_is_the_state_of_the_plain_operation(name: str, bank_class: type[StackedBank | SeparateBank]) -> None:
    torch.manual_seed(2)
    bank = bank_class(fresh(name, 2), 3)
    x = torch.randn(2, CHANNELS, 6, 6)
    bank.bind()
    bank.run(1, x)  # statistics of slice 1 have moved
    plain = fresh(name, 2)()
    plain.load_state_dict(bank.slice_state(1), strict=True)
    bank.eval()
    bank.bind()
    torch.testing.assert_close(plain.eval()(x), bank.run(1, x))


def test_unused_slices_are_named() -> None:
    stacked, _ = both("sep_conv_3x3", 1)
    names = {name for name, _ in stacked.named_parameters()}
    assert stacked.live(frozenset({0, 1, 2})) == {}
    assert stacked.live(frozenset({2})) == dict.fromkeys(names, frozenset({2}))
    assert stacked.live(frozenset()) == dict.fromkeys(names, frozenset())
    separate = SeparateBank(fresh("sep_conv_3x3", 1), 3)
    assert separate.live(frozenset({0, 1, 2})) == {}
    unused = {name for name, _ in separate.named_parameters() if not name.startswith("operations.2.")}
    assert separate.live(frozenset({2})) == dict.fromkeys(unused, frozenset())


@pytest.mark.parametrize(("share", "slices"), [(False, [4, 4, 3, 2, 1]), (True, [1] * 5)])
def test_a_cell_has_a_slice_for_every_outgoing_edge(share: bool, slices: list[int]) -> None:
    cell = CellSpace(2, 4, DARTS_OPERATIONS)
    storage = CellStorage(cell, CHANNELS, True, share)
    assert set(storage) == {f"{source}_{name}" for source in range(5) for name in NAMES}
    for source in range(5):
        bank = storage.bank(source, "dil_conv_5x5")
        assert isinstance(bank, StackedBank)
        assert bank.slices == slices[source]
        bank.bind()
        side = 3 if source < 2 else 6  # a reduction cell halves the sides on edges from its inputs only
        assert bank.run(0, torch.rand(2, CHANNELS, 6, 6)).shape == (2, CHANNELS, side, side)


def test_operations_that_cannot_be_stacked_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        OPERATIONS, "twice", lambda channels, stride, affine, pool_norm: nn.Conv2d(channels, channels, 1)
    )
    storage = CellStorage(CellSpace(2, 2, ("none", "twice", "skip_connect")), CHANNELS, False)
    assert "twice" not in STACKABLE
    assert isinstance(storage.bank(0, "twice"), SeparateBank)
    assert isinstance(storage.bank(0, "skip_connect"), StackedBank)
    assert len([name for name, _ in storage.named_parameters() if name.startswith("0_twice.")]) == 2 * 2
