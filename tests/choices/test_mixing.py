"""What a mixing is made of: supports that can be keys, and the mixing of a Transit-cell."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from archgrad.choices import Mixing, full_support, transit
from archgrad.choices.mixing import support_of


def test_supports_are_hashable_values() -> None:
    mask = torch.tensor([[True, False, True], [False, False, True]])
    support = support_of(mask)
    assert support == ((True, False, True), (False, False, True))
    assert {support: 1}[((True, False, True), (False, False, True))] == 1
    assert full_support(2, 3) == support_of(torch.ones(2, 3, dtype=torch.bool))


def test_a_transit_mixing_has_weight_one_on_its_support_and_nothing_to_learn() -> None:
    support = ((True, False), (False, False))
    like = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    mixing = transit(support, like)
    assert mixing.support == support
    assert mixing.weights.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert mixing.weights.dtype == torch.float64
    assert not mixing.weights.requires_grad


def test_a_mixing_cannot_be_changed() -> None:
    mixing = Mixing(torch.ones(1, 1), ((True,),))
    with pytest.raises(FrozenInstanceError):
        mixing.weights = torch.zeros(1, 1)  # type: ignore[misc]
