"""A search that grows: how its state is extended by a growth step, and when that happens between two epochs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from archgrad import registry
from archgrad.choices import Choices, ChoiceTable
from archgrad.choices.ramp import risen
from archgrad.engine.derivations.derive import expected_mixings, project
from archgrad.engine.growing.morphisms import Morphism, Seen
from archgrad.optimisers import load_named_state, named_state
from archgrad.space.change import Axis, Change
from archgrad.space.form import Form
from archgrad.supernet.grown.carry import carried, carried_memory
from archgrad.supernet.grown.names import Moves, choice_moves, supernet_moves

if TYPE_CHECKING:
    from archgrad.engine.state import Blueprint, SearchState

__all__ = ["Growing", "fix_choices", "grow", "grow_by", "mixed_edges", "rebuild", "ripen"]


class Growing:
    """What a growing search remembers besides its weights; part of the checkpoint.

    Args:
        form: what the supernet is now.

    Attributes:
        done: growths so far.
        born: step of the search at which the youngest grew; None when nothing is young.
        losses: on the validation part, an epoch each, since the last growth.
        events: what happened, as the log tells it.
        before: everything as it was before the last growth, while that may still be undone.
        ended: whether nothing grows any more, since a growth was undone or no step had anything to add.
        wanted: whether the next growth is due whatever the policy says, since a stream has changed.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.done = 0
        self.born: int | None = None
        self.losses: list[float] = []
        self.events: list[dict[str, Any]] = []
        self.before: dict[str, Any] | None = None
        self.ended = False
        self.wanted = False

    def state_dict(self) -> dict[str, Any]:
        """Return it as a tree of tensors and plain data."""
        names = ("done", "born", "losses", "events", "before", "ended", "wanted")
        return {"form": self.form.to_dict()} | {name: copy.copy(getattr(self, name)) for name in names}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take up all but the form, which :func:`rebuild` needs first."""
        for name in ("done", "born", "losses", "events", "before", "ended", "wanted"):
            setattr(self, name, copy.copy(tree[name]))


def grow(state: SearchState) -> list[dict[str, Any]]:
    """Do what is due between two epochs; return the events, for the log.

    Everything follows from the state, so a search that is resumed from the checkpoint of an epoch grows the same.
    """
    growth, growing = state.parts.growth, state.growing
    if growth is None or growing is None or state.step != state.epoch * state.steps_per_epoch:
        return []
    events: list[dict[str, Any]] = []
    if _ripe(state):
        _grow_up(state)
    if growing.before is not None and growing.born is None and len(growing.losses) > growth.grace:
        events += _judge(state)
    count = growth.count(_blueprint(state).space)
    if growing.born is None and growing.before is None and not growing.ended:
        due = growth.due(growing.done, count, state.epoch, state.parts.epochs, growing.losses)
        if due or (growing.wanted and growing.done < count):
            growing.wanted = False
            events += _grow_now(state)
    growing.events += events
    return events


def grow_by(state: SearchState, step: Morphism, word: str = "") -> Change | None:
    """Apply one growth step to a search: supernet, choices, optimisers and the description of the space together.

    Args:
        state: changed in place; what the supernet computes stays what it was.
        step: the growth step.
        word: for the step.

    Returns:
        What changed, or None where the step had nothing to add.
    """
    assert state.growing is not None
    expected = expected_mixings(state.choices, state.parts.relaxation, state.progress)
    strengths = {kind: mixing.weights.detach().cpu().tolist() for kind, mixing in expected.items()}
    change = step(state.growing.form, Seen(strengths, state.generator), word)
    if change is not None:
        extend(state, change)
        state.growing.born = state.step
    return change


def extend(state: SearchState, change: Change) -> None:
    """Put a grown supernet and grown tables in place of those before.

    Old entries keep their values and what the optimisers remember of them, new ones start fresh.
    """
    supernet, choices = _built(state, change.after)
    memories = [named_state(state.weight_optimizer, state.weights)]
    memories += [named_state(state.choice_optimizer, dict(state.choices.named_parameters()))]
    pairs: list[tuple[nn.Module, nn.Module, Moves]] = [
        (state.supernet, supernet, supernet_moves(supernet, change)),
        (state.choices, choices, choice_moves(choices, change)),
    ]
    grown_memories = []
    for (old, new, moves), memory in zip(pairs, memories, strict=True):
        before, after = dict(old.state_dict(keep_vars=True)), dict(new.state_dict(keep_vars=True))
        remembered: dict[str, dict[str, Any]] = {}
        with torch.no_grad():
            for name, move in moves.items():
                was, now = before[move.source], after[name]
                now.copy_(carried(now, was, move))
                if move.source in memory:
                    remembered[name] = carried_memory(memory[move.source], was, now, move)
        grown_memories.append(remembered)
    before_tables, clock = dict(state.choices.items()), state.progress.epoch
    for kind, table in choices.items():
        table.born = _born(before_tables[kind], change.rows(kind), clock)
        young, elder = torch.tensor(change.young(kind)), torch.tensor(change.elder(kind))
        table.young = young.to(table.alive.device) if bool(young.any()) else None
        if not bool(elder.all()):
            table.elder = elder.to(table.alive.device)
            table.gate = nn.Parameter(torch.zeros_like(table.logits[0, 0]))
    _put(state, change.after, supernet, choices)
    load_named_state(state.weight_optimizer, state.weights, grown_memories[0])
    load_named_state(state.choice_optimizer, dict(state.choices.named_parameters()), grown_memories[1])


def _born(before: ChoiceTable, rows: Axis, clock: float) -> Tensor | None:
    """Return the clock at which every row of a grown table grew, or None where all are as old as the search."""
    old = [0.0] * len(before.groups) if before.born is None else before.born.tolist()
    born = [old[place] if own else clock for place, own in zip(rows.of, rows.own, strict=True)]
    return torch.tensor(born, device=before.alive.device) if any(born) else None


def rebuild(state: SearchState, plain: Mapping[str, Any]) -> None:
    """Give a search the form that a checkpoint describes, so that it can take up the checkpoint's tensors."""
    form = Form.from_dict(plain, _blueprint(state).space)
    _put(state, form, *_built(state, form))


def ripen(state: SearchState) -> None:
    """After an update: keep gates at least as far open as their age asks for, and at most open."""
    growth, growing = state.parts.growth, state.growing
    if growth is None or growing is None or growing.born is None:
        return
    age = (state.step - growing.born) / max(1.0, growth.ramp * state.steps_per_epoch)
    risen(_gates(state), min(1.0, age))


@torch.no_grad()
def fix_choices(state: SearchState) -> None:
    """Leave every row the candidates that would be derived now, and nothing else alive."""
    expected = expected_mixings(state.choices, state.parts.relaxation, state.progress)
    supports = project(expected, state.parts.derivation, state.parts.space)
    for kind, table in state.choices.items():
        table.alive &= torch.tensor(supports[kind], device=table.alive.device)


def mixed_edges(choices: Choices) -> int:
    """Return how many edges still mix candidates: rows in which more than one of them is alive."""
    return sum(int((table.alive.sum(dim=1) > 1).sum()) for _, table in choices.items())


def _grow_now(state: SearchState) -> list[dict[str, Any]]:
    """Grow by the next step that has something to add."""
    growth, growing = state.parts.growth, state.growing
    assert growth is not None and growing is not None
    before = _snapshot(state) if growth.roll_back else None
    size = _size(state)
    if growth.mode == "grow-and-prune":
        fix_choices(state)
    for _ in growth.steps:
        name, word = growth.step(growing.done)
        change = grow_by(state, registry.get("morphism", name), word)
        growing.done += 1
        if change is not None:
            growing.before = before
            growing.losses = growing.losses[-1:]
            event = {"what": "grown", **change.record, "before": size, "after": _size(state)}
            return [_told(state, event)]
    growing.ended = True
    return []


def _judge(state: SearchState) -> list[dict[str, Any]]:
    """Undo the last growth if the validation loss stayed above what it was before; else keep it for good."""
    growing = state.growing
    assert growing is not None and growing.before is not None
    before, growing.before = growing.before, None
    if min(growing.losses[1:]) <= growing.losses[0]:
        return []
    size = _size(state)
    rebuild(state, before["form"])
    state.supernet.load_state_dict(before["supernet"])
    state.choices.load_state_dict(before["choices"])
    state.make_optimizers()
    load_named_state(state.weight_optimizer, state.weights, before["weight_optimizer"])
    load_named_state(state.choice_optimizer, dict(state.choices.named_parameters()), before["choice_optimizer"])
    growing.ended = True
    return [_told(state, {"what": "undone", "before": size, "after": _size(state)})]


def _told(state: SearchState, event: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": state.epoch, "step_count": state.step, **event}


def _snapshot(state: SearchState) -> dict[str, Any]:
    """Return everything that a growth changes, as it is now."""
    assert state.growing is not None
    whole = {
        "form": state.growing.form.to_dict(),
        "supernet": dict(state.supernet.state_dict()),
        "choices": dict(state.choices.state_dict()),
        "weight_optimizer": named_state(state.weight_optimizer, state.weights),
        "choice_optimizer": named_state(state.choice_optimizer, dict(state.choices.named_parameters())),
    }
    return copy.deepcopy(whole)


def _size(state: SearchState) -> dict[str, Any]:
    """Return how large everything is, for the log."""
    assert state.growing is not None
    return state.growing.form.to_dict() | {
        "parameters": sum(weight.numel() for weight in state.weights.values()),
        "mixed_edges": mixed_edges(state.choices),
    }


def _ripe(state: SearchState) -> bool:
    """Say whether what is young has had its time."""
    growth, growing = state.parts.growth, state.growing
    assert growth is not None and growing is not None
    return growing.born is not None and state.step - growing.born >= growth.ramp * state.steps_per_epoch


def _grow_up(state: SearchState) -> None:
    """Take the gates away, which are open by now."""
    assert state.growing is not None
    form = state.growing.form
    extend(state, Change.between(form, form.grown_up))
    state.growing.born = None


def _gates(state: SearchState) -> dict[str, Tensor]:
    """Return every gate that is not open yet, by name."""
    named = {**state.weights, **dict(state.choices.named_parameters())}
    return {name: value for name, value in named.items() if name.endswith("gate") or name.startswith("gates.")}


def _blueprint(state: SearchState) -> Blueprint:
    assert state.parts.blueprint is not None, "a search that grows needs to know how its supernet is built"
    return state.parts.blueprint


def _built(state: SearchState, form: Form) -> tuple[nn.Module, Choices]:
    """Build a fresh supernet and fresh tables of a form, on the device and in the precision of those there are."""
    seed = int(torch.randint(2**31, (1,), generator=state.generator))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        supernet, choices = _blueprint(state).build(form, seed)
    weight, logits = next(iter(state.weights.values())), next(state.choices.parameters())
    return supernet.to(weight.device, weight.dtype), choices.to(logits.device, logits.dtype)


def _put(state: SearchState, form: Form, supernet: nn.Module, choices: Choices) -> None:
    assert state.growing is not None
    state.supernet, state.choices, state.growing.form = supernet, choices, form
    state.parts = replace(state.parts, space=form.space)
    state.make_optimizers()
