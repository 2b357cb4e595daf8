"""Layouts say what each layer is given: the relaxed mixing everywhere (DARTS), or at a few layers (EnTranNAS)."""

from __future__ import annotations

import pytest

from archgrad.errors import InputError
from archgrad.space.darts import DartsSpace
from archgrad.supernet import AllEngines, EnginesAt, SamplePerLayer, Seat


def test_all_engines_share_one_draw() -> None:
    assert AllEngines()(("normal", "reduce", "normal")) == (Seat(engine=True, draw=0),) * 3
    assert AllEngines()(()) == ()


KINDS = tuple(layer.cell for layer in DartsSpace.skeleton().layers(8, 16))


def engines(layout: EnginesAt, kinds: tuple[str, ...] = KINDS) -> list[int]:
    seats = layout(kinds)
    assert len(seats) == len(kinds)
    assert all(seat.draw == 0 for seat in seats)
    return [layer for layer, seat in enumerate(seats) if seat.engine]


def test_by_default_the_first_cell_of_every_kind_is_an_engine() -> None:
    assert engines(EnginesAt()) == [0, 2]
    assert engines(EnginesAt(), ("reduce", "normal", "normal")) == [0, 1]
    assert engines(EnginesAt(), ("normal",)) == [0]
    assert EnginesAt()(()) == ()


def test_engines_sit_where_they_are_told() -> None:
    assert engines(EnginesAt(layers=(5, 3, 7))) == [3, 5, 7]


@pytest.mark.parametrize(("steps", "first"), [(96, 72), (5, 3), (1, 0)])
def test_engines_may_be_the_last_stretch(steps: int, first: int) -> None:
    assert engines(EnginesAt(last=0.25), ("cell",) * steps) == list(range(first, steps))


def test_layers_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match=r"layout\.last is 0"):
        EnginesAt(last=0.0)
    with pytest.raises(InputError, match="give one of them"):
        EnginesAt(layers=(0,), last=0.5)
    with pytest.raises(InputError, match="layer 8, and the supernet has the layers 0 to 7"):
        EnginesAt(layers=(0, 2, 8))(KINDS)
    with pytest.raises(InputError, match=r"no layer of the cell kind 'reduce'.*one of these: 2, 5"):
        EnginesAt(layers=(0, 1))(KINDS)
    for layers in ((), (-1, 2)):
        with pytest.raises(InputError, match=r"layout\.layers is"):
            EnginesAt(layers=layers)


def test_a_sample_per_layer_gives_every_layer_a_draw_of_its_own() -> None:
    assert SamplePerLayer()(KINDS) == tuple(Seat(engine=True, draw=layer) for layer in range(8))
