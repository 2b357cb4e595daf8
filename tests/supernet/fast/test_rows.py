"""Which cells the fast evaluation leaves to the reference: a rule of sizes alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.supernet.small import small

from archgrad.choices import Mixing, full_support, transit
from archgrad.space.darts import DartsSpace
from archgrad.supernet import reference
from archgrad.supernet.fast.cell import row_by_row
from archgrad.supernet.plan import Plan, make_plan

CELL = DartsSpace()().cells["normal"]
TRANSIT = tuple(tuple(edge in (0, 1, 2, 3, 5, 7, 9, 12) and k == 1 + edge % 7 for k in range(8)) for edge in range(14))
ALIKE = tuple(tuple(any(edge) and k == 4 for k in range(8)) for edge in TRANSIT)
FULL = full_support(14, 8)


@pytest.mark.parametrize(
    ("support", "share", "size", "rows"),
    [
        (TRANSIT, False, (64, 8, 8, 8), True),  # batch, channels, sides
        (TRANSIT, False, (64, 16, 16, 16), False),  # wide enough for arithmetic to weigh
        (ALIKE, False, (4, 8, 8, 8), False),  # eight times the same operation
        (FULL, True, (16, 8, 8, 8), True),  # one slice of everything
        (FULL, True, (64, 8, 8, 8), False),
        (FULL, False, (4, 2, 8, 8), False),  # slices run side by side: fewer calls at any size
    ],
)
def test_few_and_small_operations_go_row_by_row(
    support: tuple[tuple[bool, ...], ...], share: bool, size: tuple[int, ...], rows: bool
) -> None:
    values = int(torch.tensor(size).prod())
    assert row_by_row(make_plan(CELL, support, share), values) is rows


def test_a_small_transit_cell_asks_the_reference_and_an_engine_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    evaluate = reference.evaluate_cell

    def listened(plan: Plan, *rest: Any) -> list[torch.Tensor]:
        asked.append(len(plan.rows))
        return evaluate(plan, *rest)

    monkeypatch.setattr(reference, "evaluate_cell", listened)
    net = small(1, evaluation="fast")
    x = torch.rand(2, 2, 8, 8)
    net(x, {"normal": transit(TRANSIT, x), "reduce": transit(TRANSIT, x)})
    net(x, dict.fromkeys(("normal", "reduce"), Mixing(torch.rand(14, 8), FULL)))
    assert asked == [8]
    with torch.no_grad():
        net.eval()(x, {"normal": transit(TRANSIT, x), "reduce": transit(TRANSIT, x)})
    assert asked == [8]


def test_a_steady_supernet_goes_together_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [small(1, evaluation="fast", steady=steady) for steady in (False, True)]
    networks[1].load_state_dict(networks[0].state_dict())
    x, mixings = torch.rand(2, 2, 8, 8), dict.fromkeys(("normal", "reduce"), transit(TRANSIT, torch.rand(1)))
    by_rows = networks[0](x, mixings)
    monkeypatch.setattr(reference, "evaluate_cell", None)
    torch.testing.assert_close(networks[1](x, mixings), by_rows)
    with pytest.raises(TypeError, match="not callable"):
        networks[0](x, mixings)
