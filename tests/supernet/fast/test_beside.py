"""What flows beside the mixture, against a cell written out edge by edge; both evaluations against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.supernet.small import MEAN, STD
from torch import Tensor, nn
from torch.nn import functional as F

from archgrad.architecture import Architecture
from archgrad.choices import Mixing, Progress, Softmax
from archgrad.choices.mixing import support_of
from archgrad.errors import InputError
from archgrad.space.cells import CellSpace
from archgrad.space.darts import DartsSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.fast.beside import shuffled_channels
from archgrad.supernet.image import MixedCell
from archgrad.supernet.inherit import inherit

CELL = CellSpace(2, 2, ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), pool_norm=False)
ROWS = len(CELL.edges)


def test_channels_are_dealt_out_in_turn() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert shuffled_channels(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    both = torch.rand(2, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(shuffled_channels(both, 4), nn.ChannelShuffle(4)(both))


def by_hand(cell: MixedCell, states: list[Tensor], mixing: Mixing, partial: int, stride: int) -> Tensor:
    """Every edge as the papers draw it: its own mixture, bypass, shuffle and skip, then the node's sum."""
    share = states[0].shape[1] // partial
    for target in CELL.computed:
        total: Tensor | float = 0.0
        for edge, (source, end) in enumerate(CELL.edges):
            if end != target:
                continue
            x, step = states[source], stride if source < 2 else 1
            mixture: Tensor | float = 0.0
            for k, name in enumerate(CELL.operations):
                if name == "none" or not mixing.support[edge][k]:
                    continue
                bank = cell.storage.bank(source, name)
                bank.bind()
                mixture = mixture + mixing.weights[edge, k] * bank.run(CELL.slot(edge), x[:, :share])
                bank.release()
            if isinstance(mixture, Tensor) and partial > 1:
                rest = F.max_pool2d(x[:, share:], 2) if step == 2 else x[:, share:]
                flows = torch.cat([mixture, mixing.weights[edge].sum() * rest], dim=1)
                mixture = nn.ChannelShuffle(partial)(flows)
            total = total + mixture
            if mixing.auxiliary is not None:
                total = total + mixing.auxiliary[edge] * (F.avg_pool2d(x, 2) if step == 2 else x)
        assert isinstance(total, Tensor)
        states = [*states, total]
    return torch.cat(states[2:], dim=1)


def a_mixing(seed: int = 0) -> Mixing:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(ROWS, len(CELL.operations), dtype=torch.float64, generator=generator)
    runs = torch.ones_like(weights, dtype=torch.bool)
    runs[1] = False  # an edge that is left out
    runs[2, 1:] = False  # an edge on which nothing but none runs
    return Mixing((weights * runs).requires_grad_(), support_of(runs), torch.rand(ROWS, generator=generator).double())


@pytest.mark.parametrize("reduction", [False, True])
@pytest.mark.parametrize("partial", [1, 2])
def test_a_cell_is_what_its_edges_add_up_to(partial: int, reduction: bool) -> None:
    torch.manual_seed(0)
    cell = MixedCell(CELL, [4, 4], 4, reduction, False, False, False, partial=partial).double()
    x = [torch.rand(3, 4, 8, 8, dtype=torch.float64) for _ in range(2)]
    mixing = a_mixing()
    states = [preprocess(each) for preprocess, each in zip(cell.preprocess, x, strict=True)]
    expected = by_hand(cell, states, mixing, partial, 2 if reduction else 1)
    torch.testing.assert_close(cell(x, mixing), expected, rtol=1e-10, atol=1e-10)
    without = replace(mixing, auxiliary=None)
    torch.testing.assert_close(cell(x, without), by_hand(cell, states, without, partial, 2 if reduction else 1))


def network(evaluation: str = "fast", partial: int = 2, share_features: bool = False) -> ImageSupernet:
    torch.manual_seed(0)
    return ImageSupernet(
        DartsSpace(nodes=2)(),
        cells=3,
        channels=4,
        in_channels=2,
        classes=3,
        evaluation=evaluation,
        mean=MEAN,
        std=STD,
        partial=partial,
        share_features=share_features,
    ).double()


@pytest.mark.parametrize("shared", [False, True])
def test_every_evaluation_gives_the_same(shared: bool) -> None:
    x = torch.rand(4, 2, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for evaluation in ("fast", "reference"):
        supernet = network(evaluation, share_features=shared)
        torch.manual_seed(2)
        logits = {k: torch.randn(len(c.edges), 8, dtype=torch.float64) for k, c in supernet.space.cells.items()}
        tables = {kind: table.requires_grad_() for kind, table in logits.items()}
        out = supernet(x, {kind: Softmax(edges=True, skip=1.0)(t, Progress(elapsed=0.4)) for kind, t in tables.items()})
        inputs = [*supernet.parameters(), *tables.values()]
        gradients = torch.autograd.grad((out**2).sum(), inputs, allow_unused=True)
        found.append((out.detach(), gradients, list(supernet.buffers())))
    (out, gradients, buffers), (expected, by_reference, of_reference) = found
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    for one, other in zip(gradients, by_reference, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
    for one, other in zip(buffers, of_reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_partial_channels_are_refused_where_they_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"supernet\.channels is 4, which supernet\.partial=3 does not divide"):
        network(partial=3)
    supernet = network()
    with pytest.raises(InputError, match="no weights to inherit"):
        inherit(supernet, Architecture("darts", {}, {}, {}))
