"""Averaging begins when the validation loss is worse than it was long ago, and holds the mean of the steps since."""

from __future__ import annotations

import torch

from archgrad.network.averaging import Averaging, stopped_falling
from archgrad.network.language import LanguageNetwork


def test_the_trigger_compares_with_the_best_of_more_than_n_epochs_ago() -> None:
    assert not stopped_falling([3.0, 2.0], 9.0, 2)  # too early to say
    assert stopped_falling([3.0, 2.0, 2.5], 3.1, 2)  # worse than 3.0, three epochs ago
    assert not stopped_falling([3.0, 2.0, 2.5], 2.9, 2)
    assert stopped_falling([3.0, 2.0, 2.5, 2.5], 2.1, 2)


def network(value: float) -> LanguageNetwork:
    made = LanguageNetwork({"recurrence": {"lstm": True, "inputs": 2, "hidden": 2}, "tokens": 3})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(value)
    return made


def test_the_mean_is_that_of_the_steps_since_the_switch_and_survives_a_checkpoint() -> None:
    averaging, own = Averaging(1), network(9.0)
    for loss in (2.0, 1.0):
        averaging.judge(own, loss)
        averaging.update(own)
    assert averaging.network is None
    averaging.judge(own, 3.0)
    assert averaging.network is not None
    for value in (1.0, 2.0):
        averaging.update(network(value))
    again = Averaging(1)
    again.load_state_dict(averaging.state_dict(), own)
    for each in (averaging, again):
        each.update(network(6.0))
        assert each.network is not None
        assert {round(value, 6) for value in each.network.ends.bias.tolist()} == {3.0}
    assert again.losses == [2.0, 1.0, 3.0]
