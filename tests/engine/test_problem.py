"""One update's two losses: the same noise, masks and mixings throughout, statistics left alone, exact accumulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.engine.toys import CLASSES, LinearSupernet, NoisySoftmax, SquaredLogits, ToyData, next_update, toy_state
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from archgrad.choices import Mixing
from archgrad.engine.derivations.derive import TopEdges
from archgrad.engine.hypergradient import FirstOrder, Hypergradient, Unrolled
from archgrad.engine.state import SearchState
from archgrad.supernet.image import ImageSupernet

METHODS: tuple[Hypergradient, ...] = (FirstOrder(), Unrolled(), Unrolled(method="autograd"))


class SeenMixings(ImageSupernet):
    """A supernet that keeps what it was given."""

    seen: list[list[Mixing]]

    def forward(self, x: Tensor, mixings: Any) -> Tensor:
        self.seen.append(self.per_layer(mixings))
        return super().forward(x, mixings)


def watched(state: SearchState) -> list[list[Mixing]]:
    state.supernet.__class__ = SeenMixings
    state.supernet.seen = []  # type: ignore[assignment]
    return state.supernet.seen  # type: ignore[return-value]


class WeightGradients(TorchDispatchMode):
    """Counts convolution backwards, and those among them that compute the gradient of a weight."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution_backward.default:
            self.counts["all"] += 1
            self.counts["weights"] += bool(args[-1][1])  # output_mask: input, weight, bias
        return func(*args, **(kwargs or {}))


def test_a_loss_that_no_choice_reaches_has_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    state = toy_state(nodes=2)
    update = next_update(state)
    problem = update.problem
    update.batches["validation"] = update.batches["train"]
    original = state.supernet.forward
    monkeypatch.setattr(state.supernet, "forward", lambda *given: original(*given).detach())
    for gradient in problem.gradient("validation", problem.choices):
        assert not bool(gradient.any())


def test_the_first_order_computes_no_weight_gradient() -> None:
    state = toy_state(nodes=2, evaluation="reference")  # where every gradient is a convolution's
    update = next_update(state)
    with WeightGradients() as first:
        FirstOrder()(update.problem)
    with WeightGradients() as full:
        update.weight_gradients()
    convolutions = sum(isinstance(module, nn.Conv2d) for module in state.supernet.modules())
    assert first.counts["weights"] == 0
    assert 0 < first.counts["all"] < full.counts["all"]
    assert full.counts["weights"] == full.counts["all"] > convolutions
    assert all(table.logits.grad is None for _, table in state.choices.items())


@pytest.mark.parametrize("method", METHODS, ids=["first", "finite_difference", "autograd"])
def test_choice_steps_leave_statistics_gradients_and_generators_alone(method: Hypergradient) -> None:
    state = toy_state(nodes=1, drop_path=0.3, relaxation=NoisySoftmax())
    update = next_update(state)
    before = {name: buffer.clone() for name, buffer in state.supernet.named_buffers()}
    weights = {name: weight.detach().clone() for name, weight in state.weights.items()}
    generators = torch.get_rng_state(), state.generator.get_state()
    method(update.problem)
    assert all(torch.equal(before[name], buffer) for name, buffer in state.supernet.named_buffers())
    assert all(torch.equal(weights[name], weight) for name, weight in state.weights.items())
    assert all(weight.grad is None for weight in state.weights.values())
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert torch.equal(state.generator.get_state(), generators[1])
    assert not [m for m in state.supernet.modules() if isinstance(m, nn.BatchNorm2d) and not m.track_running_stats]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_weight_steps_forward_alone_writes_statistics(accumulate: int) -> None:
    state = toy_state(nodes=1, hypergradient=Unrolled(), weights={"accumulate": accumulate})
    update = next_update(state)
    update.choice_step()
    assert isinstance(state.supernet, ImageSupernet)
    norm = state.supernet.stem.norm
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    assert int(before["num_batches_tracked"]) == 0
    inputs: list[Tensor] = []
    norm.register_forward_pre_hook(lambda module, given: inputs.append(given[0].detach()))
    update.weight_gradients()
    update.weight_step()
    after = dict(norm.named_buffers())
    assert int(after["num_batches_tracked"]) == accumulate == len(inputs)
    mean = torch.zeros(norm.num_features)
    for given in inputs:
        mean = 0.9 * mean + 0.1 * given.mean(dim=(0, 2, 3))
    torch.testing.assert_close(after["running_mean"], mean)


@pytest.mark.parametrize("method", METHODS[1:], ids=["finite_difference", "autograd"])
def test_every_forward_of_an_update_gets_the_same_mixings(method: Hypergradient) -> None:
    state = toy_state(nodes=1, relaxation=NoisySoftmax())
    seen = watched(state)
    update = next_update(state)
    method(update.problem)
    update.weight_gradients()
    assert len(seen) >= 3
    for mixings in seen:
        assert torch.equal(mixings[0].weights, seen[0][0].weights)
    state.step += 1
    next_update(state).weight_gradients()
    assert not torch.equal(seen[-1][0].weights, seen[0][0].weights)  # the next update draws anew


def test_every_forward_of_an_update_drops_the_same_paths() -> None:
    state = toy_state(nodes=2, drop_path=0.5)
    update = next_update(state)
    images, targets = update.batches["train"]
    update.batches["validation"] = (images, targets)
    choices = update.problem.choices
    first = update.problem.gradient("train", choices)
    torch.rand(100)  # the global generator moves on
    for level in ("train", "validation"):
        again = update.problem.gradient(level, choices)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = next_update(state)
    other.batches["train"] = (images, targets)
    assert not torch.equal(other.problem.gradient("train", choices)[0], first[0])


def plain_loss(state: SearchState, images: Tensor, targets: Tensor) -> Tensor:
    """Return the linear supernet's loss, written out."""
    network = state.supernet
    assert isinstance(network, LinearSupernet)
    weights = torch.softmax(dict(state.choices.items())["normal"].logits[0], 0)
    h = images.flatten(1) @ network.features.weight.T + network.features.bias
    h = weights[0] * torch.tanh(h) + weights[1] * torch.sin(h)
    return F.cross_entropy(h @ network.classifier.weight.T + network.classifier.bias, targets)


@pytest.mark.parametrize("accumulate", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("on", [None, "choices", "both"])
def test_accumulated_gradients_are_those_of_the_whole_batch(accumulate: int, on: Any) -> None:
    penalties = {"small": SquaredLogits(on, 0.3)} if on else {}
    state = toy_state(
        linear=True,
        dtype=torch.float64,
        data=ToyData(batch=7, dtype=torch.float64),
        penalties=penalties,
        weights={"accumulate": accumulate},
    )
    update = next_update(state)
    problem = update.problem
    weights, choices = list(problem.weights.values()), problem.choices
    for level in ("train", "validation"):
        task_loss = loss = plain_loss(state, *update.batches[level])
        if on == "both" or (on == "choices" and level == "validation"):
            loss = loss + 0.3 / 2 * (choices[0] ** 2).sum()
        expected = torch.autograd.grad(loss, [*weights, *choices])
        found = problem.gradient(level, [*weights, *choices])
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
        assert problem.losses[level] == pytest.approx(float(task_loss.detach()), rel=1e-12)
        if loss is not task_loss:
            assert problem.terms == {"small": pytest.approx(float((loss - task_loss).detach()), rel=1e-12)}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_unrolled_gradients_may_be_accumulated(accumulate: int) -> None:
    data = ToyData(batch=7, dtype=torch.float64)
    state = toy_state(
        linear=True, dtype=torch.float64, data=data, weights={"accumulate": accumulate, "rate": 0.5, "decay": 0.1}
    )
    update = next_update(state)
    exact = Unrolled(method="autograd")(update.problem)[0]
    (choice,) = update.problem.choices
    # the same written out: one step of SGD on the training loss, then the validation loss
    names = list(state.weights)
    gradients = torch.autograd.grad(
        plain_loss(state, *update.batches["train"]), list(state.weights.values()), create_graph=True
    )
    ahead = {n: w - 0.5 * (g + 0.1 * w) for n, w, g in zip(names, state.weights.values(), gradients, strict=True)}
    images, targets = update.batches["validation"]
    mix = torch.softmax(choice[0], 0)
    h = images.flatten(1) @ ahead["features.weight"].T + ahead["features.bias"]
    h = mix[0] * torch.tanh(h) + mix[1] * torch.sin(h)
    loss = F.cross_entropy(h @ ahead["classifier.weight"].T + ahead["classifier.bias"], targets)
    (expected,) = torch.autograd.grad(loss, choice)
    torch.testing.assert_close(exact, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(Unrolled(epsilon=1e-3)(update.problem)[0], expected, rtol=1e-3, atol=1e-9)


def test_a_penalty_sees_the_update_and_is_told_after_the_choices_moved() -> None:
    penalty = SquaredLogits("choices")
    state = toy_state(nodes=2, penalties={"small": penalty}, relaxation=NoisySoftmax(), choices={"rate": 0.1})
    before = [table.logits.detach().clone() for _, table in state.choices.items()]
    update = next_update(state)
    update.choice_step()
    view = penalty.views[0]
    assert view.space is state.parts.space
    assert view.layers == state.supernet.layers
    assert view.choices is state.choices
    assert len(view.mixings) == 1
    assert view.noise is update.problem.noise
    assert view.progress == state.progress
    for (kind, _), logits in zip(state.choices.items(), before, strict=True):
        expected = torch.softmax(logits, dim=1)  # without the noise
        torch.testing.assert_close(view.expected[kind].weights.detach(), expected)
        assert not torch.allclose(view.mixings[0][kind].weights.detach(), expected, atol=1e-3)
        whole = Mixing(expected, view.expected[kind].support)
        assert view.projections[kind] == TopEdges()(whole, view.space.cells[kind])
    (after,) = penalty.after
    assert not any(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    now = [table.logits for _, table in state.choices.items()]
    assert all(torch.equal(a, b) for a, b in zip(after, now, strict=True))
    calls = len(penalty.views)
    update.weight_gradients()
    assert len(penalty.views) == calls  # acts on the choices' loss alone


def test_gradients_of_what_a_loss_does_not_depend_on_are_zeros() -> None:
    state = toy_state(linear=True)
    update = next_update(state)
    stranger = torch.zeros(3, requires_grad=True)
    found = update.problem.gradient("train", [stranger, *update.problem.choices])
    assert torch.equal(found[0], torch.zeros(3))
    assert update.problem.raw_gradient("train", [stranger])[0] is None


def test_the_inner_step_is_the_weight_optimisers() -> None:
    state = toy_state(linear=True, weights={"rate": 0.3, "momentum": 0.8, "decay": 0.01})
    update = next_update(state)
    assert update.problem.inner.buffers == {}
    update.weight_gradients()
    gradients = {name: weight.grad for name, weight in state.weights.items()}
    before = {name: weight.detach().clone() for name, weight in state.weights.items()}
    update.weight_step()
    inner = next_update(state).problem.inner
    assert (inner.rate, inner.momentum, inner.decay) == (0.3, 0.8, 0.01)
    for name, gradient in gradients.items():
        assert gradient is not None
        torch.testing.assert_close(inner.buffers[name], gradient + 0.01 * before[name])


def test_mixed_precision_gives_finite_gradients_near_the_exact_ones() -> None:
    def gradients(precision: str) -> list[Tensor]:
        state = toy_state(nodes=1)
        object.__setattr__(state.parts, "precision", precision)
        return next_update(state).problem.gradient("validation", list(state.choices.parameters()))

    exact, rounded = gradients("fp32")[0], gradients("bf16")[0]
    assert rounded.dtype == torch.float32
    assert float((rounded - exact).norm() / exact.norm()) < 0.2


def test_a_batch_of_any_loss_is_a_plain_call() -> None:
    state = toy_state(nodes=1, dtype=torch.float64)
    update = next_update(state)
    images, targets = update.batches["train"]
    evaluate: Callable[..., Tensor] = state.supernet
    loss = F.cross_entropy(evaluate(images, update.problem.view().mixings), targets)
    expected = torch.autograd.grad(loss, update.problem.choices, allow_unused=True)
    found = update.problem.gradient("train", update.problem.choices)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=1e-14)
    assert expected[1] is None  # a network of one cell has no reduction cell
    assert torch.equal(found[1], torch.zeros_like(found[1]))
    assert update.problem.losses["train"] == pytest.approx(float(loss.detach()))
    assert images.shape == (4, 2, 8, 8)
    assert int(targets.max()) < CLASSES
