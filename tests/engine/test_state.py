"""The state of a search: its clocks, and that it can be saved in full and taken up again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.engine.toys import NoisySoftmax, SquaredLogits, ToyData, toy_state
from torch import Tensor

from archgrad.engine.hypergradient import Unrolled
from archgrad.engine.state import SearchState
from archgrad.engine.update import Streams, update


def test_the_clocks_are_the_papers() -> None:
    state = toy_state(linear=True, data=ToyData(steps=4), epochs=5)
    seen = []
    for step in range(21):
        state.step = step
        seen.append((state.progress.elapsed, state.progress.epoch))
    assert seen[0] == (0.0, 1 / 5)  # steps done / total; (e + 1) / epochs
    assert seen[3] == (3 / 20, 1 / 5)
    assert seen[4] == (4 / 20, 2 / 5)
    assert seen[19] == (19 / 20, 1.0)
    assert seen[20] == (1.0, 1.0)
    assert seen == sorted(seen)


def busy_state() -> SearchState:
    return toy_state(
        nodes=1,
        drop_path=0.2,
        relaxation=NoisySoftmax(deviation=0.5),
        hypergradient=Unrolled(),
        penalties={"small": SquaredLogits("choices", 0.1)},
        choices={"rate": 0.05},
        data=ToyData(steps=5),
    )


def played(state: SearchState, updates: int) -> list[dict[str, Any]]:
    streams = Streams(state)
    return [update(state, streams).report() for _ in range(updates)]


def same(one: Any, other: Any) -> bool:
    """Say whether two trees of tensors and plain data are equal to the last bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_state_taken_up_again_goes_on_bit_for_bit(after: int) -> None:
    state = busy_state()
    played(state, after)
    tree = copy.deepcopy(state.state_dict())
    losses = played(state, 3)
    torch.manual_seed(12345)  # another process would start anywhere
    again = busy_state()
    played(again, 1)  # what was there before does not matter
    again.load_state_dict(tree)
    kept = copy.deepcopy(tree)
    assert same(again.state_dict(), tree)
    assert played(again, 3) == losses
    assert same(again.state_dict(), state.state_dict())
    assert same(tree, kept)  # going on does not change what was loaded


def test_the_state_names_everything_that_changes() -> None:
    state = busy_state()
    before = copy.deepcopy(state.state_dict())
    played(state, 1)
    after = state.state_dict()
    unchanged = {key for key in before if same(before[key], after[key])}
    # of these, epoch and history are the loop's; this schedule has no state, these data are no text, and nothing grows
    assert unchanged == {"schedule", "epoch", "history", "hidden", "growing"}
    assert after["positions"] == {"weights": 1, "choices": 1}
    assert after["penalties"] == {"small": {"calls": 1}}
