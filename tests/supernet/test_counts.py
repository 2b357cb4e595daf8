"""Steps launch no more operations and keep no more bytes than they did: counted, so no clock and no busy machine.

A change that makes a step leaner fails here too: write its counts into :data:`TABLE` then, so that they stay.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from benchmarks.counting import counted
from torch import Tensor

from archgrad.api.settings import search_config
from archgrad.choices import Mixing, full_support
from archgrad.engine.problem import SearchProblem
from archgrad.engine.update import Streams, update
from archgrad.recipes.assemble import Assembled
from archgrad.space.darts import DartsSpace
from archgrad.space.darts_rnn import DartsRnnSpace
from archgrad.supernet import ImageSupernet
from archgrad.supernet.memory import saved_bytes
from archgrad.supernet.recurrent.supernet import RecurrentSupernet

TABLE = {
    # step: (kernels launched, views made, bytes kept for the backward)
    "image": (3580, 6620, 1_493_860),
    "image with dropped paths": (4170, 8678, 1_499_956),
    "entrannas": (4921, 1752, 4_571_040),
    "entrannas, larger": (5478, 4908, 9_833_520),
    "recurrent": (1963, 716, 74_612),
}

Step = tuple[Callable[[], object], Callable[[], Tensor], list[Tensor]]
"""The whole step, its forward alone, and what exists beside it."""


def full(space: DartsSpace | DartsRnnSpace) -> dict[str, Mixing]:
    return {
        kind: Mixing(
            torch.rand(len(cell.edges), len(cell.operations)).requires_grad_(),
            full_support(len(cell.edges), len(cell.operations)),
        )
        for kind, cell in space().cells.items()
    }


def image(drop: float = 0.0) -> Step:
    space = DartsSpace(nodes=3)
    net, mixings = ImageSupernet(space(), cells=3, channels=8, in_channels=1, drop_path=drop), full(space)
    x, inputs = torch.rand(4, 1, 8, 8), [*net.parameters(), *(mixing.weights for mixing in mixings.values())]

    def forward() -> Tensor:
        out: Tensor = net(x, mixings)
        return out.square().sum()

    return lambda: torch.autograd.grad(forward(), inputs, allow_unused=True), forward, [x, *inputs, *net.buffers()]


def entrannas(channels: int = 8, size: int = 8) -> Step:
    images, labels = torch.rand(64, 1, 8, 8), torch.arange(64) % 10
    sizes = {"supernet.cells": 4, "supernet.channels": channels, "data.batch": size}
    ready = Assembled(search_config("entrannas", data=(images, labels), settings=sizes), own_data=(images, labels))
    state = ready.state
    with torch.no_grad():
        for index, table in enumerate(state.choices.parameters()):  # what is derived must not hang on a draw
            table.copy_(torch.linspace(1, 40 + index, table.numel()).sin().view_as(table))
    streams, batch = Streams(state), next(ready.data.stream("weights"))
    view = SearchProblem(state, {"train": batch}).view()
    known = [*batch, *state.supernet.parameters(), *state.supernet.buffers(), *state.choices.parameters()]

    def forward() -> Tensor:
        out: Tensor = state.supernet.train()(batch[0], view.mixings)
        return out

    return lambda: update(state, streams), forward, known


def recurrent() -> Step:
    space = DartsRnnSpace()
    net, mixings = RecurrentSupernet(space(), inputs=8, hidden=8, steps=4), full(space)
    x, inputs = torch.rand(4, 3, 8), [*net.parameters(), *(mixing.weights for mixing in mixings.values())]

    def forward() -> Tensor:
        out: Tensor = net(x, mixings)[0]
        return out.square().sum()

    return lambda: torch.autograd.grad(forward(), inputs, allow_unused=True), forward, [x, *inputs, *net.buffers()]


STEPS = {
    "image": image,
    "image with dropped paths": lambda: image(0.3),
    "entrannas": entrannas,
    "entrannas, larger": lambda: entrannas(16, 16),
    "recurrent": recurrent,
}


@pytest.mark.parametrize("name", TABLE)
def test_a_step_launches_and_keeps_what_it_did(name: str) -> None:
    torch.manual_seed(0)
    step, forward, known = STEPS[name]()
    step()  # the first makes what is made once
    counts = counted(step)
    found = counts.kernels.total(), counts.views, saved_bytes(forward, known)
    print(f"{name}: kernels, views and bytes {found}, in the table {TABLE[name]}; the most frequent kernels:")
    print(*(f"{count:5d} {kernel}" for kernel, count in counts.kernels.most_common(12)), sep="\n")
    for now, before in zip(found, TABLE[name], strict=True):
        assert now == pytest.approx(before, rel=0.03), "if it is fewer, or more with a reason, write it into the table"
