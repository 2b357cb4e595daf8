"""The published cells are those of the authors' public code: structure spot-checked, sizes to the last weight."""

from __future__ import annotations

import pytest
import torch

import archgrad
from archgrad.architecture import Edge
from archgrad.errors import InputError
from archgrad.published import names, published

# papers' counts at 20 cells, 36 channels, 10 classes: without and with the auxiliary head
SIZES = {
    "DARTS_V2": (3_349_342, 3_825_768),
    "DARTS_V1": (3_169_414, 3_645_840),
    "SNAS_MODERATE": (2_848_222, None),
    "SNAS_AGGRESSIVE": (2_313_622, None),
    "SNAS_MILD": (2_663_542, None),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_those_of_the_public_code(name: str) -> None:
    plain, with_head = SIZES[name]
    architecture = published(name)
    counted = archgrad.count_parameters(architecture, cells=20, channels=36, classes=10)
    print(f"{name}: {counted:,} weights")
    assert counted == plain
    if with_head is not None:
        both = archgrad.count_parameters(architecture, cells=20, channels=36, classes=10, auxiliary=True)
        print(f"{name} with auxiliary head: {both:,} weights")
        assert both == with_head


def test_counting_without_memory_counts_the_built_network() -> None:
    cell = published("SNAS_AGGRESSIVE")
    network = archgrad.build(cell, cells=3, channels=4, in_channels=2, classes=5)
    counted = archgrad.count_parameters(cell, cells=3, channels=4, in_channels=2, classes=5)
    assert counted == sum(parameter.numel() for parameter in network.parameters())


def test_darts_v2_is_the_cell_of_the_paper() -> None:
    cells = published("DARTS_V2").cells
    assert cells["normal"].edges[-2:] == (Edge(0, 5, "skip_connect"), Edge(2, 5, "dil_conv_3x3"))
    assert [edge.operation for edge in cells["normal"].edges] == ["sep_conv_3x3"] * 4 + [
        "skip_connect",
        "sep_conv_3x3",
        "skip_connect",
        "dil_conv_3x3",
    ]
    assert [(edge.source, edge.target) for edge in cells["reduce"].edges] == [
        (0, 2),
        (1, 2),
        (1, 3),
        (2, 3),
        (0, 4),
        (2, 4),
        (1, 5),
        (2, 5),
    ]


def test_flags_and_empty_nodes_of_the_snas_cells() -> None:
    for name in names():
        assert published(name).network == {"pool_norm": name.startswith("SNAS"), "node_norm": False}
    reduce = published("SNAS_AGGRESSIVE").cells["reduce"]
    assert reduce.nodes == 4
    assert {edge.target for edge in reduce.edges} == {2, 3}


@pytest.mark.parametrize("name", ["DARTS_RNN_V1", "DARTS_RNN_V2"])
def test_recurrent_cells_have_one_predecessor_for_each_of_8_nodes(name: str) -> None:
    cell = published(name).cells["recurrent"]
    assert [edge.target for edge in cell.edges] == list(range(1, 9))
    assert cell.output_combine == "mean"
    assert cell.output == tuple(range(1, 9))


@pytest.mark.parametrize("name", [name for name in names() if "RNN" not in name])
def test_published_image_cells_are_valid_and_run(name: str) -> None:
    architecture = published(name)
    assert archgrad.Architecture.from_dict(architecture.to_dict()) == architecture
    network = archgrad.build(architecture, cells=3, channels=4, in_channels=2, classes=3)
    assert network(torch.rand(2, 2, 8, 8)).shape == (2, 3)


def test_an_unknown_name_shows_the_nearest() -> None:
    with pytest.raises(InputError, match="Unknown published cell 'DARTS_V3'.*Did you mean 'DARTS_V"):
        published("DARTS_V3")
