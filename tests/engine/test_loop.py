"""The loop: its events in order, its rates, its records, and going on from any step bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.engine.test_state import same
from tests.engine.toys import NoisySoftmax, ToyData, toy_state

from archgrad.architecture import Architecture
from archgrad.choices import Progress
from archgrad.engine.derivations.derive import derive
from archgrad.engine.evaluate import child_metrics, child_mixings, supernet_metrics
from archgrad.engine.hypergradient import Unrolled
from archgrad.engine.loop import Emit, SearchStoppedError, run_search
from archgrad.engine.schedules.schedule import Never
from archgrad.engine.state import Batch, SearchState
from archgrad.errors import NotFiniteError

MADE_BY = {"recipe": "toy", "seed": 0}


class Listener:
    """Keeps every event; asks for a stop where it is told to; keeps a copy of the state after some of them."""

    def __init__(self, stop: tuple[str, int] | None = None, keep: bool = False) -> None:
        self.stop, self.keep = stop, keep
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.states: list[dict[str, Any]] = []

    def __call__(self, kind: str, state: SearchState, record: dict[str, Any]) -> bool:
        self.events.append((kind, {key: value for key, value in record.items() if key != "seconds"}))
        if self.keep:
            self.states.append(copy.deepcopy(state.state_dict()))
        return (kind, state.step) == self.stop

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for name, record in self.events if name == kind]


def searched(emit: Emit, **options: Any) -> SearchState:
    state = toy_state(nodes=1, **options)
    run_search(state, emit, MADE_BY)
    return state


def test_events_come_in_order_and_say_where_the_search_is() -> None:
    listener = Listener()
    state = searched(listener, data=ToyData(steps=2), epochs=2, weights={"rate": 0.1, "rate_end": 0.02})
    assert [kind for kind, _ in listener.events] == ["step", "step", "epoch", "step", "step", "epoch", "end"]
    steps = listener.of("step")
    assert [(record["step"], record["epoch"]) for record in steps] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert [record["rate"] for record in steps] == pytest.approx([0.1, 0.1, 0.06, 0.06])  # cosine, once an epoch
    assert all(record["loss"] > 0 and record["choice_loss"] > 0 for record in steps)
    for epoch, record in enumerate(listener.of("epoch")):
        assert record["epoch"] == epoch + 1
        for key in ("loss", "choice_loss"):
            assert record[key] == pytest.approx(sum(step[key] for step in steps[2 * epoch : 2 * epoch + 2]) / 2)
    assert (state.epoch, state.step) == (2, 4)


def test_an_epochs_record_is_what_was_found() -> None:
    listener = Listener()
    state = searched(listener, epochs=1)
    (record,) = listener.of("epoch")
    end = Progress(elapsed=1.0, epoch=1.0)
    parts = state.parts
    architecture = derive(state.choices, parts.relaxation, end, parts.derivation, parts.space, MADE_BY)
    assert Architecture.from_dict(record["architecture"]) == architecture
    assert record["validation"] == supernet_metrics(state, end)
    assert record["derived_validation"] == child_metrics(state, child_mixings(state, end))
    for kind, table in state.choices.items():
        torch.testing.assert_close(torch.tensor(record["weights"][kind]), torch.softmax(table.logits.detach(), 1))
        assert 0 < record["monitor"]["entropy"][kind] <= 1
    assert state.history == [
        {"epoch": 1, "score": record["derived_validation"], "architecture": record["architecture"]}
    ]
    assert state.sums.state_dict() == {"numbers": {}, "credits": {}}


def test_a_search_without_choice_steps_has_no_choice_loss() -> None:
    listener = Listener()
    state = searched(listener, schedule=Never(), epochs=1)
    assert [record["choice_loss"] for record in listener.of("step")] == [None, None]
    assert listener.of("epoch")[0]["choice_loss"] is None
    start = toy_state(nodes=1)
    assert all(torch.equal(a, b) for a, b in zip(state.choices.parameters(), start.choices.parameters(), strict=True))
    assert state.positions["choices"] == 0


@pytest.mark.parametrize("method", ["first", "unrolled"])
def test_a_search_goes_on_from_any_step_bit_for_bit(method: str) -> None:
    options: dict[str, Any] = {
        "data": ToyData(steps=2),
        "drop_path": 0.3,
        "relaxation": NoisySoftmax(deviation=0.5),
        "choices": {"rate": 0.1},
        "hypergradient": Unrolled() if method == "unrolled" else None,
    }
    whole = Listener(keep=True)
    ended = searched(whole, **options)
    moments = [index for index, (kind, _) in enumerate(whole.events) if kind != "end"]
    for moment in moments:
        torch.manual_seed(moment)
        again = toy_state(nodes=1, **options)
        again.load_state_dict(whole.states[moment])
        rest = Listener()
        run_search(again, rest, MADE_BY)
        assert same(rest.events, whole.events[moment + 1 :]), whole.events[moment]
        assert same(again.state_dict(), ended.state_dict())


def test_a_listener_may_stop_the_search_at_a_step_and_it_can_be_resumed() -> None:
    whole = Listener()
    ended = searched(whole)
    first = Listener(stop=("step", 3))
    state = toy_state(nodes=1)
    with pytest.raises(SearchStoppedError):
        run_search(state, first, MADE_BY)
    assert (state.epoch, state.step) == (1, 3)
    second = Listener()
    run_search(state, second, MADE_BY)  # the same state goes on
    assert same(first.events + second.events, whole.events)
    assert same(state.state_dict(), ended.state_dict())


def test_a_listener_may_end_the_search_after_an_epoch() -> None:
    listener = Listener(stop=("epoch", 2))
    state = searched(listener, epochs=5)
    assert [kind for kind, _ in listener.events] == ["step", "step", "epoch", "end"]
    assert state.epoch == 1


def test_a_finished_search_has_nothing_left_to_do() -> None:
    state = searched(Listener())
    before = copy.deepcopy(state.state_dict())
    again = Listener()
    run_search(state, again, MADE_BY)
    assert [kind for kind, _ in again.events] == ["end"]
    assert same(state.state_dict(), before)


def test_a_loss_that_is_not_finite_ends_the_search_at_that_step() -> None:
    class Poisoned(ToyData):
        def item(self, part: str, index: int) -> Batch:
            x, y = super().item(part, index)
            return (x * float("nan") if part == "weights" and index == 2 else x), y

    listener = Listener()
    with pytest.raises(NotFiniteError, match="The train loss is nan at step 3 .epoch 2"):
        searched(listener, data=Poisoned(steps=2), schedule=Never())
    assert [kind for kind, _ in listener.events] == ["step", "step", "epoch"]


def test_an_epoch_whose_last_step_broke_the_weights_is_no_epoch() -> None:
    listener = Listener()
    with pytest.raises(NotFiniteError, match="The validation loss is nan after epoch 1"):
        searched(listener, data=ToyData(steps=1), epochs=3, weights={"rate": 1e30, "rate_end": 1e30, "clip": None})
    assert [kind for kind, _ in listener.events] == ["step"]  # nothing that a checkpoint would be made of


def test_the_choices_find_the_operation_that_helps() -> None:
    """A search in earnest: only what depends on the image tells the classes apart, ``none`` does not."""
    listener = Listener()
    state = searched(
        listener,
        data=ToyData(steps=6, batch=12),
        epochs=3,
        weights={"rate": 0.1, "rate_end": 0.05},
        choices={"rate": 0.1, "decay": 0.0},
    )
    losses = [record["loss"] for record in listener.of("epoch")]
    assert losses[-1] < 0.7 * losses[0]
    normal = dict(state.choices.items())["normal"].logits
    assert float(torch.softmax(normal.detach(), 1)[:, 0].max()) < 1 / 8
