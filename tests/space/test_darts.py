"""The space of DARTS and its options, by name and by class."""

from __future__ import annotations

import pytest

from archgrad import space
from archgrad.errors import InputError
from archgrad.space.darts import DartsSpace


def test_the_space_is_that_of_the_paper() -> None:
    found = space.get("darts")
    assert found.name == "darts"
    assert set(found.cells) == {"normal", "reduce"}
    for cell in found.cells.values():
        assert (cell.inputs, cell.nodes, len(cell.edges)) == (2, 4, 14)
        assert cell.output_combine == "concat"
        assert cell.operations == (
            "none",
            "max_pool_3x3",
            "avg_pool_3x3",
            "skip_connect",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "dil_conv_3x3",
            "dil_conv_5x5",
        )
    assert found.network == {"pool_norm": False, "node_norm": False}
    assert [layer.channels for layer in found.skeleton.layers(8, 16)] == [16, 16, 32, 32, 32, 64, 64, 64]


def test_options_choose_the_candidates() -> None:
    assert "none" not in space.get("darts", none=False).cells["normal"].operations
    assert len(space.get("darts", none=False).cells["normal"].operations) == 7
    chosen = space.get("darts", operations=("skip_connect", "max_pool_3x3", "skip_connect"), nodes=1)
    assert chosen.cells["reduce"].operations == ("skip_connect", "max_pool_3x3")
    assert chosen.cells["reduce"].edges == ((0, 2), (1, 2))
    assert space.get("darts", pool_norm=True).network["pool_norm"] is True


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InputError, match="'sep_conv'.*Did you mean 'sep_conv_.x.'"):
        DartsSpace(operations=("sep_conv",))()
    with pytest.raises(InputError, match="besides 'none'"):
        DartsSpace(operations=("none",))()
    with pytest.raises(InputError, match="besides 'none'"):
        DartsSpace(operations=("none",), none=False)()
    with pytest.raises(InputError, match="nodes is 0"):
        DartsSpace(nodes=0)()
    with pytest.raises(InputError, match="'dart'.*Did you mean 'darts'"):
        space.get("dart")
    with pytest.raises(InputError, match="nodes"):
        space.get("darts", node=3)
