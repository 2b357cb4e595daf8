"""Searching on text: each stream's hidden state goes on from update to update, whatever an update computes with it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from archgrad import space
from archgrad.choices import Choices, Softmax
from archgrad.engine.derivations.derive import TopEdges
from archgrad.engine.hypergradient import FirstOrder, Hypergradient, Unrolled
from archgrad.engine.schedules.schedule import Always, Joint
from archgrad.engine.state import Parts, SearchState
from archgrad.engine.update import Streams, update
from archgrad.network.language import LanguageEnds
from archgrad.runs.settings import ChoiceSettings, WeightSettings
from archgrad.supernet import AllEngines
from archgrad.supernet.recurrent.language import LanguageSupernet
from archgrad.supernet.recurrent.supernet import RecurrentSupernet
from archgrad.tasks.language import LanguageTask
from archgrad.tasks.text import RawText
from archgrad.tasks.text_streams import TextData

WORDS = "a b c d e f g a c e g b d f a d g c f b e\n" * 12


def text_search(
    hypergradient: Hypergradient | None = None, schedule: Any = None, slowness: float = 0.0, **weights: Any
) -> SearchState:
    torch.manual_seed(0)
    raw = RawText("letters", WORDS, WORDS[:40], WORDS[:40], "", window=4)
    share = 0.0 if isinstance(schedule, Joint) else 0.5
    data = TextData(raw, name="letters", seed=0, batch=4, choice_share=share, device=torch.device("cpu"))
    found, relaxation = space.get("darts-rnn", nodes=2), Softmax(deviation=0.5)
    core = RecurrentSupernet(found, inputs=3, hidden=3, steps=4, node_norm=False)
    supernet = LanguageSupernet(core, LanguageEnds(9, 3, slowness=slowness))
    parts = Parts(
        space=found,
        relaxation=relaxation,
        layout=AllEngines(),
        schedule=schedule or Always(),
        hypergradient=hypergradient or FirstOrder(),
        penalties={},
        derivation=TopEdges(k=1),
        task=LanguageTask(twice=True),
        data=data,
        weights=WeightSettings(**{"rate": 0.5, **weights}),
        choices=ChoiceSettings(rate=0.05),
        epochs=2,
    )
    choices = Choices(found, relaxation, torch.Generator().manual_seed(0))
    return SearchState(parts, supernet.double(), choices.double())


def run_on(state: SearchState, part: str) -> tuple[float, torch.Tensor]:
    """Return loss and last state of a part's next window with the weights and choices that a state has."""
    x, y = next(state.parts.data.stream(part, state.positions[part]))
    mixings = {kind: state.parts.relaxation(table, state.progress) for kind, table in state.choices.items()}
    handed = () if part not in state.hidden else (state.hidden[part],)
    with torch.no_grad():
        output = copy.deepcopy(state.supernet)(x, mixings, *handed)
        return float(state.parts.task.loss(output, y)), output.last


@pytest.mark.parametrize("hypergradient", [FirstOrder(), Unrolled(), Unrolled(method="autograd")], ids=str)
def test_both_streams_go_on_with_what_they_left(hypergradient: Hypergradient) -> None:
    state = text_search(hypergradient)
    streams = Streams(state)
    for _ in range(3):
        expected = {part: run_on(state, part) for part in ("weights", "choices")}
        before = [choice.detach().clone() for choice in state.choices.parameters()]
        done = update(state, streams).problem
        if isinstance(hypergradient, FirstOrder):  # the choice step comes first, with the weights as they were
            assert done.losses["validation"] == pytest.approx(expected["choices"][0], abs=1e-12)
            torch.testing.assert_close(state.hidden["choices"], expected["choices"][1])
        assert any(not torch.equal(a, b) for a, b in zip(before, state.choices.parameters(), strict=True))
        assert not state.hidden["weights"].requires_grad
    assert set(state.hidden) == {"weights", "choices"} and state.hidden["weights"].abs().sum() > 0


def test_the_weights_stream_is_the_loss_of_the_window_behind_the_last() -> None:
    state = text_search(schedule=Joint())
    streams, steps = Streams(state), state.steps_per_epoch
    for step in range(steps + 1):
        if step == steps:
            state.hidden.clear()  # the text begins again, and so does its state
        loss, last = run_on(state, "weights")
        found = update(state, streams).problem.losses["train"]
        assert found == pytest.approx(loss, abs=1e-12)
        torch.testing.assert_close(state.hidden["weights"], last)
    assert set(state.hidden) == {"weights"}


def test_micro_batches_carry_the_states_of_their_own_streams() -> None:
    whole, pieces = text_search(), text_search(accumulate=3)
    losses = []
    for state in (whole, pieces):
        streams = Streams(state)
        losses.append([update(state, streams).problem.losses["train"] for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    torch.testing.assert_close(whole.hidden["weights"], pieces.hidden["weights"])


def test_slowness_is_learnt_by_the_weights_and_not_logged_as_loss() -> None:
    plain, slow = text_search(), text_search(slowness=10.0)
    found = [update(state, Streams(state)).problem.losses for state in (plain, slow)]
    assert found[0] == found[1]
    same = [torch.equal(a, b) for a, b in zip(plain.weights.values(), slow.weights.values(), strict=True)]
    assert not all(same)
    assert all(torch.equal(a, b) for a, b in zip(plain.choices.parameters(), slow.choices.parameters(), strict=True))
