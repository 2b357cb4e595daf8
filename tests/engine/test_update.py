"""The primitives of one update: what a choice step and a weight step do to every number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.engine.toys import NoisySoftmax, ToyData, next_update, toy_state
from torch import Tensor

from archgrad.choices import ChoiceTable
from archgrad.engine.schedules.schedule import Never, Schedule, Steps
from archgrad.engine.state import Batch, SearchState
from archgrad.engine.update import Streams, update
from archgrad.errors import NotFiniteError


class Dying(NoisySoftmax):
    """A relaxation whose convolutions die on some edges after the first update: on (0, 2), (1, 2) and (1, 3)."""

    def settle(self, table: ChoiceTable) -> None:
        table.alive[[0, 1, 3], 4:] = False


def copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def test_a_weight_step_is_clipped_sgd_written_out() -> None:
    state = toy_state(nodes=1, dtype=torch.float64, weights={"rate": 0.1, "decay": 0.01, "momentum": 0.9, "clip": 0.5})
    buffers = {name: torch.zeros_like(w) for name, w in state.weights.items()}
    for _ in range(3):
        current = next_update(state)
        before = copies(state.weights)
        gradients = current.problem.gradient("train", list(state.weights.values()))
        norm = torch.sqrt(torch.stack([(g**2).sum() for g in gradients]).sum())
        assert float(norm) > 0.5  # so that clipping matters
        current.weight_gradients()
        current.weight_step()
        for (name, weight), gradient in zip(state.weights.items(), gradients, strict=True):
            step = gradient * 0.5 / (norm + 1e-6) + 0.01 * before[name]
            buffers[name] = 0.9 * buffers[name] + step
            if "reduce" not in name:
                torch.testing.assert_close(weight.detach(), before[name] - 0.1 * buffers[name], rtol=1e-9, atol=1e-12)
        assert all(weight.grad is None for weight in state.weights.values())


def test_a_choice_step_is_adam_written_out() -> None:
    state = toy_state(
        nodes=1, dtype=torch.float64, choices={"rate": 0.1, "beta1": 0.5, "beta2": 0.999, "decay": 0.01, "clip": None}
    )
    (normal,) = [table.logits for kind, table in state.choices.items() if kind == "normal"]
    first, second = torch.zeros_like(normal), torch.zeros_like(normal)
    for step in range(1, 4):
        current = next_update(state)
        before = normal.detach().clone()
        gradient = current.problem.gradient("validation", [normal])[0] + 0.01 * before
        current.streams = Streams(state)
        state.positions["choices"] -= 1  # the batch that was just looked at
        current.choice_step()
        first = 0.5 * first + 0.5 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        move = 0.1 * (first / (1 - 0.5**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        torch.testing.assert_close(normal.detach(), before - move, rtol=1e-9, atol=1e-12)
        assert normal.grad is None


def test_the_choices_gradient_may_be_clipped() -> None:
    def moved(clip: float | None) -> Tensor:
        state = toy_state(nodes=1, choices={"rate": 0.1, "decay": 0.0, "clip": clip})
        # plain SGD shows the length of the gradient
        state.choice_optimizer = torch.optim.SGD(state.choices.parameters(), 1.0)
        before = [p.detach().clone() for p in state.choices.parameters()]
        next_update(state).choice_step()
        return torch.cat([(b - p.detach()).flatten() for p, b in zip(state.choices.parameters(), before, strict=True)])

    free, clipped = moved(None), moved(1e-3)
    assert float(free.norm()) > 1e-3
    torch.testing.assert_close(clipped, free * 1e-3 / free.norm(), rtol=1e-2, atol=1e-9)


def test_streams_are_read_where_the_state_says() -> None:
    state = toy_state(linear=True)
    asked: list[tuple[str, int]] = []
    stream = state.parts.data.stream

    def watched(part: str, start: int = 0) -> Iterator[Batch]:
        asked.append((part, start))
        return stream(part, start)

    state.parts.data.stream = watched  # type: ignore[method-assign]
    state.positions = {"weights": 5, "choices": 3}
    streams = Streams(state)
    update(state, streams)
    update(state, streams)
    assert asked == [("weights", 5), ("choices", 3)]
    assert state.positions == {"weights": 7, "choices": 5}
    assert torch.equal(streams.next("weights")[0], ToyData().item("weights", 7)[0])


def test_an_update_settles_the_choices_and_counts() -> None:
    state = toy_state(nodes=2, relaxation=Dying(), schedule=Never())
    assert set(update(state, Streams(state)).problem.losses) == {"train"}
    assert state.step == 1
    assert [int(table.alive.sum()) for _, table in state.choices.items()] == [5 * 8 - 3 * 4] * 2


def test_slices_outside_of_the_support_are_left_alone() -> None:
    state = toy_state(nodes=2, relaxation=Dying(), schedule=Never(), weights={"decay": 0.1, "rate": 0.1})
    streams = Streams(state)
    update(state, streams)  # everything runs, momentum is there
    before = copies(state.weights)
    momenta = {name: state.weight_optimizer.state[w]["momentum_buffer"].clone() for name, w in state.weights.items()}
    update(state, streams)
    for name, weight in state.weights.items():
        buffer = state.weight_optimizer.state[weight]["momentum_buffer"]
        unmoved = [k for k in range(len(weight)) if torch.equal(weight[k].detach(), before[name][k])]
        still = [k for k in range(len(weight)) if torch.equal(buffer[k], momenta[name][k])]
        dead: list[int] = []
        if "conv_" in name:  # node 0 leads to 2 and 3, so does node 1, node 2 leads to 3
            source = name.split("storage.")[1][0]
            dead = {"0": [0], "1": [0, 1], "2": []}[source]
        assert unmoved == still == dead, name


class ChoicesAlone(Schedule):
    """A schedule of a user's own."""

    @property
    def choice_share(self) -> float:
        return 0.5

    def __call__(self, steps: Steps) -> None:
        steps.choice_step()


@pytest.mark.parametrize(("part", "level"), [("weights", "train"), ("choices", "validation")])
def test_a_loss_that_is_not_finite_stops_before_anything_is_changed(part: str, level: str) -> None:
    class Broken(ToyData):
        def item(self, wanted: str, index: int) -> Batch:
            x, y = super().item(wanted, index)
            return (x * float("inf") if wanted == part else x), y

    schedule = Never() if part == "weights" else ChoicesAlone()
    state: SearchState = toy_state(linear=True, data=Broken(), schedule=schedule)
    before = copies({**state.weights, **dict(state.choices.named_parameters())})
    with pytest.raises(NotFiniteError, match=f"The {level} loss is nan at step 1 .epoch 1.*weights.rate") as caught:
        update(state, Streams(state))
    assert caught.value.exit_code == 1
    after = copies({**state.weights, **dict(state.choices.named_parameters())})
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert state.step == 0
