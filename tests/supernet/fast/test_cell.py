"""The fast evaluation of whole supernets equals the reference: outputs, all gradients, running statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.supernet.small import MEAN, STD
from torch import Tensor, nn

from archgrad.choices import Mixing, transit
from archgrad.choices.mixing import Support, support_of
from archgrad.network.modules import OPERATIONS
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.fast import cell as fast_cell
from archgrad.supernet.image import frozen_statistics
from archgrad.supernet.memory import saved_bytes


@pytest.fixture(autouse=True, scope="module")
def _never_row_by_row() -> Iterator[None]:
    """Small cells would be left to the reference, and nothing be compared here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_cell, "row_by_row", lambda plan, values: False)
        yield


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
    torch.manual_seed(0)  # the same paths are dropped
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


def assert_equal(expected: Sequence[Tensor | None], found: Sequence[Tensor | None], *, scaled: bool = False) -> None:
    for one, other in zip(expected, found, strict=True):
        # a weight that nothing uses may be told by None or by zeros
        blank = one if one is not None else other
        if blank is not None:
            largest = float(blank.detach().abs().max()) if scaled else 1.0
            one, other = (torch.zeros_like(blank) if each is None else each for each in (one, other))
            torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9 * max(1.0, largest))


@settings(max_examples=8, deadline=None, phases=(Phase.generate,))
@given(
    cells=st.sampled_from([1, 3]),
    nodes=st.integers(1, 3),
    sides=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    channels=st.integers(1, 3),
    share=st.booleans(),
    node_norm=st.booleans(),
    drop=st.sampled_from([0.0, 0.4]),
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
    drop: float,
    density: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    reference, fast = pair(cells, nodes=nodes, channels=channels, share=share, node_norm=node_norm, drop=drop)
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


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_every_operation_alone_equals_the_reference(drop: float) -> None:
    reference, fast = pair(3, nodes=1, channels=3, drop=drop)
    x = torch.rand(2, 2, 7, 8, dtype=torch.float64, requires_grad=True)
    for column, name in enumerate(reference.space.cells["normal"].operations):
        support: Support = ((tuple(k == column for k in range(8))),) * 2
        mixing = Mixing(torch.rand(2, 8, dtype=torch.float64).requires_grad_(), support)
        mixings = [dict.fromkeys(("normal", "reduce"), mixing)] * 3
        print(name)
        assert_equal(*(everything(net, mixings, [mixing.weights], x) for net in (reference, fast)))


def test_a_choice_step_gets_the_same_gradient_without_those_of_weights() -> None:
    reference, fast = pair(3)
    mixings, leaves = random_mixings(reference, 1.0, 1)
    x = torch.rand(3, 2, 8, 8, dtype=torch.float64)
    found = []
    for net in (reference, fast):
        for weight in net.parameters():
            weight.requires_grad_(False)
        found.append(torch.autograd.grad(net(x, mixings).square().sum(), leaves))
    assert_equal(*(list(each) for each in found))


def test_frozen_statistics_and_plain_averages_are_honoured() -> None:
    reference, fast = pair(1)
    mixings, leaves = random_mixings(reference, 1.0, 2)
    x = torch.rand(3, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    before = [buffer.clone() for buffer in fast.buffers()]
    with frozen_statistics(fast):
        fast(x, mixings)
    assert all(torch.equal(one, other) for one, other in zip(before, fast.buffers(), strict=True))
    for net in (reference, fast):
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
    for _ in range(2):
        reference.stem(x), fast.stem(x)
        assert_equal(*(everything(net, mixings, leaves, x) for net in (reference, fast)))


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_the_gradient_can_be_differentiated_again(drop: float) -> None:
    reference, fast = pair(3, nodes=1, drop=drop)
    mixings, leaves = random_mixings(reference, 1.0, 3)
    x = torch.rand(2, 2, 5, 6, dtype=torch.float64)
    found = []
    for net in (reference, fast):
        weights = [weight for name, weight in net.named_parameters() if "preprocess" not in name]
        torch.manual_seed(0)
        first = torch.autograd.grad(net(x, mixings).square().sum(), weights, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), [*leaves, *weights])  # type: ignore[arg-type]
        found.append([*first, *second])
    assert_equal(found[0], found[1], scaled=True)  # second derivatives are large numbers with small ones beside them


@pytest.mark.parametrize("share", [False, True])
def test_dropped_paths_are_the_reference_s(share: bool) -> None:
    reference, fast = pair(3, nodes=3, share=share, drop=0.3)
    mixings, leaves = random_mixings(reference, 1.0, 4)
    x = torch.rand(5, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    assert_equal(*(everything(net, mixings, leaves, x) for net in (reference, fast)))


@settings(max_examples=6, deadline=None, phases=(Phase.generate,))
@given(
    sides=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    channels=st.integers(1, 3),
    share=st.booleans(),
    node_norm=st.booleans(),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_evaluation_is_the_reference_s(
    sides: tuple[int, int], channels: int, share: bool, node_norm: bool, density: float, seed: int
) -> None:
    torch.manual_seed(seed)
    reference, fast = pair(3, channels=channels, share=share, node_norm=node_norm, drop=0.5)
    for buffer in reference.buffers():  # slices that have not run as often have other statistics
        if buffer.is_floating_point():
            buffer.add_(torch.rand_like(buffer))
    fast.load_state_dict(reference.state_dict())
    mixings, leaves = random_mixings(reference, density, seed)
    x = torch.rand(3, 2, *sides, dtype=torch.float64, requires_grad=True)
    before = fast.state_dict(keep_vars=False).copy()
    with torch.no_grad():
        assert_equal(*([net.eval()(x, mixings)] for net in (reference, fast)))
    assert all(torch.equal(value, before[name]) for name, value in fast.state_dict().items())
    assert_equal(*(everything(net, mixings, leaves, x) for net in (reference, fast)))


def test_evaluation_gives_every_operation_alone() -> None:
    reference, fast = pair(3, nodes=1, channels=3)
    x = torch.rand(2, 2, 7, 8, dtype=torch.float64)
    for column in range(8):
        support: Support = ((tuple(k == column for k in range(8))),) * 2
        mixing = Mixing(torch.rand(2, 8, dtype=torch.float64), support)
        with torch.no_grad():
            assert_equal(*([net.eval()(x, {"normal": mixing, "reduce": mixing})] for net in (reference, fast)))


def test_operations_of_a_user_s_own_run_beside_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        OPERATIONS,
        "tanh_conv",
        lambda channels, stride, affine, pool_norm: nn.Sequential(
            nn.Tanh(), nn.Conv2d(channels, channels, 3, stride, 1), nn.BatchNorm2d(channels, affine=affine)
        ),
    )
    space = DartsSpace(operations=("skip_connect", "tanh_conv", "dil_conv_3x3"), nodes=2)()
    nets = [
        ImageSupernet(
            space, cells=3, channels=2, in_channels=2, classes=3, drop_path=0.3, evaluation=evaluation
        ).double()
        for evaluation in ("reference", "fast")
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    mixings, leaves = random_mixings(nets[0], 0.8, 5)
    x = torch.rand(3, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    assert_equal(*(everything(net, mixings, leaves, x) for net in nets))


def test_single_precision_is_as_close_to_double_precision_as_the_reference() -> None:
    exact, _ = pair(3, nodes=2, channels=4)
    start = {name: value.clone() for name, value in exact.state_dict().items()}
    mixings, leaves = random_mixings(exact, 1.0, 6)
    x = torch.rand(16, 2, 16, 16, dtype=torch.float64)
    truth = everything(exact, mixings, leaves, x.clone().requires_grad_())
    weights = [weight.detach().float().requires_grad_() for weight in leaves]
    supports = [each[kind].support for each, kind in zip(mixings, exact.kinds, strict=True)]
    narrow = [{k: Mixing(w, s)} for k, w, s in zip(exact.kinds, weights, supports, strict=True)]
    errors = []
    for evaluation in ("reference", "fast"):
        net = ImageSupernet(
            DartsSpace(nodes=2)(),
            cells=3,
            channels=4,
            in_channels=2,
            classes=3,
            mean=MEAN,
            std=STD,
            evaluation=evaluation,
        )
        net.load_state_dict(start)
        found = everything(net, narrow, weights, x.float().requires_grad_())
        errors.append(
            sum(
                float(((b.double() - a).norm() / (a.norm() + 1e-6)).detach())
                for a, b in zip(truth, found, strict=True)
                if a is not None and b is not None and a.is_floating_point()
            )
        )
    print(f"summed relative errors against double precision: reference {errors[0]:.2e}, fast {errors[1]:.2e}")
    assert errors[1] < 2 * errors[0]


@pytest.mark.parametrize(("share", "part"), [(False, 0.25), (True, 0.4)])
def test_little_is_kept_for_the_backward(share: bool, part: float) -> None:
    kept = []
    for net in pair(1, nodes=4, channels=4, share=share):
        mixings, _ = random_mixings(net, 1.0, 7)
        x = torch.rand(8, 2, 16, 16, dtype=torch.float64)
        known = [x, *net.parameters(), *net.buffers()]
        kept.append(saved_bytes(lambda net=net, m=mixings, x=x: net(x, m).sum(), known))  # type: ignore[misc]
    print(f"kept for the backward, share_features={share}: {kept[1] / kept[0]:.2f} of the reference's bytes")
    assert kept[1] < part * kept[0]
