"""The unrolled gradient of a real supernet in float64, against central differences on a plain copy of it.

The copy is built from ordinary modules (``tests/supernet/plain.py``) and takes its step of SGD here. The supernet has
ReLUs and maximum pooling, so the loss is smooth only piecewise: differences with a tiny step agree with autograd as on
a smooth problem, while the published epsilon, which moves the weights by 0.01, crosses kinks and is held to 10 %.
"""

from __future__ import annotations

import torch
from tests.engine.test_hypergradient import central_differences, flat, relative
from tests.engine.toys import ToyData, next_update, toy_state
from tests.supernet.plain import PlainSupernet, copy_of, entries
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from archgrad.choices import Progress, Softmax
from archgrad.engine.hypergradient import FirstOrder, Unrolled
from archgrad.engine.loop import run_search
from archgrad.engine.state import SearchState
from archgrad.supernet import ImageSupernet
from archgrad.supernet.image import frozen_statistics

RATE, MOMENTUM, DECAY = 0.5, 0.9, 0.05


def searched_state() -> SearchState:
    """Return a search in whose second epoch the momentum buffers are full."""
    state = toy_state(
        nodes=2,
        dtype=torch.float64,
        data=ToyData(steps=2, batch=6, dtype=torch.float64),
        epochs=1,
        weights={"rate": RATE, "rate_end": RATE, "momentum": MOMENTUM, "decay": DECAY, "clip": None},
        choices={"rate": 0.1},
    )
    run_search(state, lambda kind, state, record: None, {})
    for group in state.weight_optimizer.param_groups:
        group["lr"] = RATE
    return state


def buffers_of(state: SearchState, plain: PlainSupernet) -> dict[str, Tensor]:
    """Return the momentum buffers by the plain supernet's parameter names."""
    assert isinstance(state.supernet, ImageSupernet)
    names = {id(parameter): name for name, parameter in plain.named_parameters()}
    found = {}
    for mine, theirs, place in plain.homes(state.supernet):
        for entry, stack in zip(entries(mine), entries(theirs), strict=True):
            if isinstance(entry, nn.Parameter):
                buffer = state.weight_optimizer.state[stack]["momentum_buffer"]
                found[names[id(entry)]] = buffer if place is None else buffer[place]
    return found


def test_the_unrolled_gradient_of_a_supernet() -> None:
    state = searched_state()
    assert isinstance(state.supernet, ImageSupernet)
    update = next_update(state)
    plain = copy_of(state.supernet, (0.0, 0.0), (1.0, 1.0))
    buffers = buffers_of(state, plain)
    weights: dict[str, Tensor] = dict(plain.named_parameters())
    assert set(buffers) == set(weights)
    assert min(float(buffer.abs().max()) for buffer in buffers.values()) > 0
    batches = {"train": state.parts.data.stream("weights", 2), "validation": state.parts.data.stream("choices", 2)}
    (x, y), (u, v) = next(batches["train"]), next(batches["validation"])

    def unrolled_loss(choices: list[Tensor]) -> float:
        mixing = Softmax()(choices[0], Progress())
        with frozen_statistics(plain):
            loss = F.cross_entropy(functional_call(plain, weights, (x, [mixing])), y)
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            ahead = {
                name: w if g is None else w - RATE * (MOMENTUM * buffers[name] + g + DECAY * w)
                for (name, w), g in zip(weights.items(), gradients, strict=True)
            }
            return float(F.cross_entropy(functional_call(plain, ahead, (u, [mixing])), v).detach())

    normal = dict(state.choices.items())["normal"].logits
    truth = central_differences(lambda choices: unrolled_loss(list(choices)), [normal], 1e-6, every=4)
    place = [choice is normal for choice in update.problem.choices].index(True)
    exact, published, finer, first = (
        flat([method(update.problem)[place]])
        for method in (Unrolled(method="autograd"), Unrolled(), Unrolled(epsilon=1e-5), FirstOrder())
    )
    print(f"\nsupernet, unrolled by autograd against central differences: {relative(exact[::4], truth):.1e}")
    print(f"supernet, finite differences with the published epsilon against autograd: {relative(published, exact):.1e}")
    print(f"supernet, finite differences with epsilon 1e-5 against autograd: {relative(finer, exact):.1e}")
    print(f"supernet, first order against the unrolled gradient: {relative(first, exact):.1e}")
    assert relative(exact[::4], truth) <= 1e-6
    assert relative(published, exact) <= 0.1
    assert relative(finer, exact) <= 1e-3
    assert relative(first, exact) > 0.2
