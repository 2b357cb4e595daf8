"""Metrics of supernet and child: statistics estimated by hand, draws averaged, and nothing left changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from tests.engine.toys import NoisySoftmax, ToyData, next_update, toy_state
from torch import Tensor, nn
from torch.nn import functional as F

from archgrad.choices import Mixing, full_support
from archgrad.engine.derivations.derive import derive
from archgrad.engine.evaluate import (
    child_metrics,
    child_mixings,
    evaluate_mixings,
    reestimated_statistics,
    supernet_metrics,
)
from archgrad.engine.state import Batch, SearchState
from archgrad.supernet import ImageSupernet
from archgrad.supernet.inherit import inherit


def lived_in(**options: Any) -> SearchState:
    """Return a search after two weight steps, so that its running statistics are its own."""
    state = toy_state(**options)
    for _ in range(2):
        update = next_update(state)
        update.weight_gradients()
        update.weight_step()
        state.step += 1
    return state


def snapshot(state: SearchState) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.supernet.state_dict().items()}


def batches(count: int) -> list[Batch]:
    return [ToyData().item("weights", index) for index in range(count)]


def averaged(inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the plain averages over batches of each channel's mean and unbiased variance."""
    flat = [x.transpose(0, 1).flatten(1) for x in inputs]
    means = torch.stack([x.sum(dim=1) / x.shape[1] for x in flat])
    spreads = torch.stack(
        [((x - m.view(-1, 1)) ** 2).sum(dim=1) / (x.shape[1] - 1) for x, m in zip(flat, means, strict=True)]
    )
    return means.mean(dim=0), spreads.mean(dim=0)


@pytest.mark.parametrize("count", [1, 5])
def test_statistics_are_the_averages_over_the_batches(count: int) -> None:
    state = lived_in(nodes=1, evaluation="reference")  # the bank's own modules run, so a hook sees their inputs
    assert isinstance(state.supernet, ImageSupernet)
    # node 2 gets a dilated convolution of input 1 (slice 0 of its bank) and nothing else
    support = ((False,) * 8, (False,) * 6 + (True, False))
    mixings = {"normal": Mixing(torch.ones(2, 8), support)}
    stacked = state.supernet.get_submodule("cells.0.storage.1_dil_conv_3x3.operation.3")
    inputs: dict[str, list[Tensor]] = {"stem": [], "bank": []}
    state.supernet.stem.norm.register_forward_pre_hook(lambda module, x: inputs["stem"].append(x[0].detach()))
    stacked.register_forward_pre_hook(lambda module, x: inputs["bank"].append(x[0].detach()))
    before = snapshot(state)
    with reestimated_statistics(state.supernet, mixings, batches(count)):
        assert not state.supernet.training
        assert [len(seen) for seen in inputs.values()] == [count, count]
        statistics = dict(state.supernet.stem.norm.named_buffers())
        mean, variance = averaged(inputs["stem"])
        torch.testing.assert_close(statistics["running_mean"], mean)
        torch.testing.assert_close(statistics["running_var"], variance)
        stacks = dict(stacked.named_buffers())
        mean, variance = averaged(inputs["bank"])
        torch.testing.assert_close(stacks["running_mean"][0], mean)
        torch.testing.assert_close(stacks["running_var"][0], variance)
        changed = {
            name for name, tensor in state.supernet.state_dict().items() if not torch.equal(tensor, before[name])
        }
        assert changed
    after = snapshot(state)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {m.momentum for m in state.supernet.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_everything_is_put_back_when_something_fails() -> None:
    state = lived_in(nodes=1)
    before = snapshot(state)

    def broken() -> Iterator[Batch]:
        yield batches(1)[0]
        raise OSError("the disk is gone")

    mixings = {"normal": Mixing(torch.ones(2, 8), full_support(2, 8))}
    with pytest.raises(OSError, match="disk"), reestimated_statistics(state.supernet, mixings, broken()):
        pass
    after = snapshot(state)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {m.momentum for m in state.supernet.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_the_child_is_measured_as_the_network_that_would_be_derived() -> None:
    state = lived_in(cells=3, nodes=2)
    assert isinstance(state.supernet, ImageSupernet)
    before = snapshot(state)
    parts = state.parts
    found = child_metrics(state, child_mixings(state, state.progress))
    after = snapshot(state)
    assert all(torch.equal(before[name], after[name]) for name in before)

    architecture = derive(state.choices, parts.relaxation, state.progress, parts.derivation, parts.space)
    network = inherit(state.supernet, architecture)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # torch's own cumulative average
    with torch.no_grad():
        for x, _ in islice(parts.data.stream("weights"), 20):
            network(x)
        network.eval()
        pairs = list(parts.data.once("validation"))
        output = torch.cat([network(x) for x, _ in pairs])
    targets = torch.cat([y for _, y in pairs])
    assert found["loss"] == pytest.approx(float(F.cross_entropy(output, targets)), rel=1e-4)
    assert found["accuracy"] == pytest.approx(float((output.argmax(1) == targets).float().mean()))


def test_a_childs_weights_are_one_or_the_expected_ones() -> None:
    state = toy_state(nodes=2, relaxation=NoisySoftmax(deviation=1.0))
    plain, weighted = (child_mixings(state, state.progress, weighted=w) for w in (False, True))
    for kind, table in state.choices.items():
        support = torch.tensor(plain[kind].support)
        assert int(support.sum()) == 4
        assert torch.equal(plain[kind].weights, support.float())
        expected = torch.softmax(table.logits.detach(), 1) * support
        torch.testing.assert_close(weighted[kind].weights, expected)
        assert weighted[kind].support == plain[kind].support
        assert not weighted[kind].weights.requires_grad


def test_sampled_mixings_are_averaged_over_eight_draws_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    state = lived_in(nodes=1, relaxation=NoisySoftmax())
    generators = state.generator.get_state(), torch.get_rng_state()
    seen: list[dict[str, float]] = []
    evaluate = state.parts.task.evaluate

    def watched(network: Any, given: Any) -> dict[str, float]:
        seen.append(evaluate(network, given))
        return seen[-1]

    monkeypatch.setattr(state.parts.task, "evaluate", watched)
    found = supernet_metrics(state, state.progress)
    assert len(seen) == 8
    assert len({metrics["loss"] for metrics in seen}) == 8
    assert found["loss"] == pytest.approx(sum(metrics["loss"] for metrics in seen) / 8)
    assert torch.equal(state.generator.get_state(), generators[0])
    assert torch.equal(torch.get_rng_state(), generators[1])
    assert supernet_metrics(state, state.progress) == found  # the same draws at the same step


def test_mixings_without_noise_are_measured_once() -> None:
    state = lived_in(nodes=1)
    assert isinstance(state.supernet, ImageSupernet)
    calls: list[int] = []
    state.supernet.stem.register_forward_hook(lambda module, given, out: calls.append(len(out)))
    found = supernet_metrics(state, state.progress)
    assert len(calls) == len(list(state.parts.data.once("validation")))
    relaxed = {kind: state.parts.relaxation(table, state.progress) for kind, table in state.choices.items()}
    assert found == evaluate_mixings(state, relaxed, state.parts.data.once("validation"))
    assert not state.supernet.training
