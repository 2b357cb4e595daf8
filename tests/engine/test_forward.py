"""A forward of an update leaves nothing behind but what it was asked for."""

from __future__ import annotations

import pytest
import torch
from tests.supernet.recurrent.test_supernet import mixings_of, series, supernet, tables
from torch import nn

from archgrad.engine.forward import out_of_the_graph, same_dropout, supernet_output


def test_weights_come_back_into_the_graph_whatever_happens() -> None:
    weight, frozen = torch.ones(2, requires_grad=True), torch.ones(2)
    with pytest.raises(ZeroDivisionError), out_of_the_graph([weight, frozen]):
        assert not weight.requires_grad
        raise ZeroDivisionError
    assert weight.requires_grad
    assert not frozen.requires_grad


def test_masks_are_those_of_the_seed_and_the_global_generator_goes_on() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    drawn = []
    for _ in range(2):
        with same_dropout(7, torch.device("cpu")):
            drawn.append(nn.functional.dropout(torch.ones(50), 0.5))
    assert torch.equal(*drawn)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("track", [True, False])
def test_statistics_are_written_only_where_they_are_tracked(track: bool) -> None:
    network = supernet("darts-rnn")
    network.eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    supernet_output(network, series(), [mixings_of(tables(network))] * 5, (), track_statistics=track)
    assert network.training
    changed = [name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])]
    assert bool(changed) == track


class Doubled(nn.Module):
    """A supernet of one product."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((2, 2), 2.0))

    def forward(self, x: torch.Tensor, mixings: object) -> torch.Tensor:
        return x @ self.weight


def test_low_precision_ends_at_the_output_and_other_weights_can_be_lent() -> None:
    network, x = Doubled(), torch.tensor([[1.0, 2.0**-10]])
    exact, rounded = (supernet_output(network, x, [], (), precision=p) for p in ("fp32", "bf16"))
    assert exact.dtype == rounded.dtype == torch.float32
    assert exact[0, 0] == 2 + 2.0**-9
    assert rounded[0, 0] == 2
    lent = supernet_output(network, x, [], (), weights={"weight": torch.zeros(2, 2)})
    assert torch.equal(lent, torch.zeros(1, 2))
