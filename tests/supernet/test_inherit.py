"""An inherited network computes what the supernet computes with the derived support."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archgrad.architecture import Architecture
from archgrad.choices.mixing import Mixing, support_of
from archgrad.engine.derivations.derive import architecture_of
from archgrad.errors import InputError
from archgrad.published import published
from archgrad.space.cells import Space
from archgrad.space.darts import DartsSpace
from archgrad.supernet.image import ImageSupernet
from archgrad.supernet.inherit import inherit


def lived_in(
    space: Space, cells: int, *, share: bool = False, node_norm: bool = False, stem: str = "plain"
) -> ImageSupernet:
    """Return a supernet whose running statistics and stem are as random as its weights."""
    network = ImageSupernet(
        space,
        cells=cells,
        channels=4,
        in_channels=2,
        classes=3,
        share_features=share,
        node_norm=node_norm,
        mean=(0.3, 0.6),
        std=(0.5, 0.25),
        stem=stem,
    )
    with torch.no_grad():
        for name, tensor in [*network.named_buffers(), *network.stem.named_parameters()]:
            if name.endswith("running_mean") or name.startswith("norm."):
                tensor.uniform_(-0.5, 0.5)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
    return network.eval()


def some_mixings(space: Space, *, weighted: bool) -> dict[str, Mixing]:
    """Return mixings with several operations on some edges, none on others, and one node without any input."""
    mixings = {}
    for number, (kind, cell) in enumerate(space.cells.items()):
        generator = torch.Generator().manual_seed(number)
        kept = torch.rand(len(cell.edges), len(cell.operations), generator=generator) < 0.25
        for edge, (_, target) in enumerate(cell.edges):
            if target == 4:
                kept[edge] = False
        kept[0, 4] = kept[0, 6] = True
        weights = torch.rand(kept.shape, generator=generator) if weighted else torch.ones(kept.shape)
        mixings[kind] = Mixing(weights * kept, support_of(kept))
    return mixings


def written_down(space: Space, mixings: dict[str, Mixing], *, weighted: bool) -> Architecture:
    return architecture_of(space, {k: m.support for k, m in mixings.items()}, mixings if weighted else None)


@pytest.mark.parametrize(
    ("cells", "weighted", "share", "node_norm"),
    [
        (3, False, False, False),
        (3, True, False, True),
        (3, False, True, True),
        (3, True, True, False),
        (8, False, False, False),
        (8, True, True, True),
    ],
)
def test_the_inherited_network_equals_the_supernet(cells: int, weighted: bool, share: bool, node_norm: bool) -> None:
    space = DartsSpace()()
    supernet = lived_in(space, cells, share=share, node_norm=node_norm)
    mixings = some_mixings(space, weighted=weighted)
    architecture = written_down(space, mixings, weighted=weighted)
    assert not [edge for edge in architecture.cells["normal"].edges if edge.target == 4]
    pairs = [(edge.source, edge.target) for edge in architecture.cells["normal"].edges]
    assert len(pairs) > len(set(pairs))

    network = inherit(supernet, architecture).eval()

    images = torch.rand(5, 2, 9, 9)  # odd sides too
    with torch.no_grad():
        expected = supernet(images, mixings)
        torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
        assert float(expected.std()) > 1e-3


def test_the_stem_for_large_images_is_inherited_too() -> None:
    space = DartsSpace()()
    supernet = lived_in(space, 3, stem="imagenet")
    mixings = some_mixings(space, weighted=True)
    network = inherit(supernet, written_down(space, mixings, weighted=True)).eval()
    images = torch.rand(3, 2, 112, 130)
    with torch.no_grad():
        expected = supernet(images, mixings)
        torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
        assert float(expected.std()) > 1e-3


def test_edges_that_shared_their_weights_get_copies() -> None:
    space = DartsSpace(none=False)()
    mixings = some_mixings(space, weighted=False)
    for kind, cell in space.cells.items():
        kept = torch.zeros(len(cell.edges), len(cell.operations), dtype=torch.bool)
        kept[[edge for edge, (source, _) in enumerate(cell.edges) if source == 0], 3] = True  # sep_conv_3x3 of node 0
        mixings[kind] = Mixing(kept.float(), support_of(kept))
    network = inherit(lived_in(space, 3, share=True), written_down(space, mixings, weighted=False))
    for derived in network.cells:
        weights = [operation[1].weight for operation in derived.operations]  # type: ignore[union-attr]
        assert len(weights) == 4
        assert all(torch.equal(weight, weights[0]) for weight in weights)
        assert len({weight.data_ptr() for weight in weights}) == 4


def test_statistics_matter_to_the_comparison() -> None:
    space = DartsSpace()()
    supernet, mixings = lived_in(space, 3), some_mixings(space, weighted=False)
    network = inherit(supernet, written_down(space, mixings, weighted=False)).eval()
    images = torch.rand(5, 2, 8, 8)
    for norm in [module for module in network.cells.modules() if isinstance(module, nn.BatchNorm2d)][-1:]:
        norm.reset_running_stats()
    with torch.no_grad():
        assert float((network(images) - supernet(images, mixings)).abs().max()) > 1e-3


def test_training_the_network_leaves_the_supernet_alone() -> None:
    space = DartsSpace()()
    supernet = lived_in(space, 1)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = inherit(supernet, written_down(space, some_mixings(space, weighted=False), weighted=False))
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.rand(4, 2, 8, 8)).sum().backward()
    optimiser.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())


def test_an_auxiliary_head_is_fresh_and_silent_in_eval_mode() -> None:
    space = DartsSpace()()
    supernet, mixings = lived_in(space, 3), some_mixings(space, weighted=False)
    network = inherit(supernet, written_down(space, mixings, weighted=False), auxiliary=True)
    images = torch.rand(4, 2, 8, 8)
    assert network.with_auxiliary(images)[1] is not None
    again = inherit(supernet, written_down(space, mixings, weighted=False), auxiliary=True).eval()
    with torch.no_grad():
        assert torch.allclose(again(images), supernet(images, mixings), atol=1e-5)


def test_architectures_of_another_search_are_refused() -> None:
    supernet = lived_in(DartsSpace(operations=("skip_connect", "sep_conv_3x3"))(), 3)
    with pytest.raises(InputError, match="supernet: dil_conv_3x3.*Its candidates: skip_connect, sep_conv_3x3"):
        inherit(supernet, published("DARTS_V2"))
    with pytest.raises(InputError, match="4 nodes, the supernet's has 2 and 2"):
        inherit(lived_in(DartsSpace(nodes=2)(), 3), published("DARTS_V2"))
    normal_only = replace(published("DARTS_V2"), cells={"normal": published("DARTS_V2").cells["normal"]})
    with pytest.raises(InputError, match="no cell 'reduce'"):
        inherit(lived_in(DartsSpace()(), 3), normal_only)
