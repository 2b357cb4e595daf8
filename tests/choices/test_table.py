"""Tables of choices: one per cell kind, of the cell's shape, saved with what died."""

from __future__ import annotations

import torch
from torch import Tensor

from archgrad.choices import Choices, ChoiceTable, Softmax, as_table
from archgrad.space.darts import DartsSpace


class WithThresholds(Softmax):
    """A softmax that declares one more tensor, as a method with thresholds would."""

    def extras(self, groups: tuple[int, ...], candidates: int) -> dict[str, Tensor]:
        return {"threshold": torch.zeros(len(set(groups)))}


def test_a_space_gets_a_table_for_every_cell_kind() -> None:
    space = DartsSpace()()
    choices = Choices(space, Softmax(), torch.Generator().manual_seed(0))
    tables = dict(choices.items())
    assert list(tables) == ["normal", "reduce"]
    for kind, table in tables.items():
        assert table.logits.shape == (14, 8)
        assert table.groups == space.cells[kind].groups
        assert bool(table.alive.all())
        assert table.alive.shape == (14, 8)
    assert not torch.equal(tables["normal"].logits, tables["reduce"].logits)
    assert [name for name, _ in choices.named_parameters()] == ["tables.normal.logits", "tables.reduce.logits"]


def test_equal_generators_give_equal_tables() -> None:
    one, two = (Choices(DartsSpace()(), Softmax(), torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_further_tensors_of_a_relaxation_are_trained_and_saved() -> None:
    choices = Choices(DartsSpace()(), WithThresholds(), torch.Generator())
    assert dict(choices.items())["normal"].extras["threshold"].shape == (4,)
    assert "tables.normal.extras.threshold" in dict(choices.named_parameters())


def test_what_died_is_part_of_the_state() -> None:
    table = ChoiceTable(torch.zeros(2, 3))
    table.alive[1, 2] = False
    again = ChoiceTable(torch.ones(2, 3))
    again.load_state_dict(table.state_dict())
    assert not again.alive[1, 2]
    assert int(again.alive.sum()) == 5


def test_bare_logits_become_a_table_with_the_same_tensor() -> None:
    logits = torch.zeros(3, 2, requires_grad=True)
    table = as_table(logits, groups=(2, 2, 3))
    assert table.logits is logits
    assert table.groups == (2, 2, 3)
    assert bool(table.alive.all())
    assert as_table(logits).groups == (0, 0, 0)
    assert as_table(table) is table
