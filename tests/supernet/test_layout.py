"""Layouts say what each layer is given; all-engines is DARTS: the same relaxed mixing everywhere."""

from __future__ import annotations

from archgrad.supernet import AllEngines, Seat


def test_all_engines_share_one_draw() -> None:
    assert AllEngines()(("normal", "reduce", "normal")) == (Seat(engine=True, draw=0),) * 3
    assert AllEngines()(()) == ()
