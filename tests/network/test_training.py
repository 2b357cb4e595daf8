"""Training follows DARTS' evaluation, is interrupted without a trace, and stops at numbers that make no sense."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.errors import InputError, NotFiniteError
from archgrad.network.build import blueprint
from archgrad.network.image import ImageNetwork
from archgrad.network.training import (
    TrainingStoppedError,
    TrainState,
    drop_probability,
    learning_rate,
    train_network,
)
from archgrad.published import published
from archgrad.runs import checkpoint
from archgrad.runs.settings import TrainSettings
from archgrad.tasks.image import ImageTask

CLASSES = ("a", "b", "c")


class Squares:
    """Five batches of eight images; item i of the stream is a function of i."""

    def __init__(self, batch: int = 8, scale: float = 1.0) -> None:
        self.batch, self.scale = batch, scale

    def steps(self, part: str) -> int:
        return 5

    def stream(self, part: str, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield self.item(start)
            start += 1

    def item(self, number: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(number % 7)
        targets = torch.randint(3, (self.batch,), generator=random)
        images = torch.rand(self.batch, 1, 8, 8, generator=random) + targets.view(-1, 1, 1, 1) / 2
        return images * self.scale, targets

    def once(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        assert part == "validation"
        yield self.item(100)


def small_network(*, auxiliary: bool = True) -> ImageNetwork:
    return ImageNetwork(
        blueprint(published("DARTS_V2"), cells=1, channels=4, in_channels=1, classes=3, auxiliary=auxiliary)
    )


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"epochs": 3, "drop_path": 0.0, **changes})


def quiet(kind: str, state: TrainState, record: dict[str, Any]) -> None:
    """Listen and say nothing."""


def task() -> ImageTask:
    return ImageTask((1, 8, 8), CLASSES)


def test_it_is_the_loop_that_one_would_write_by_hand() -> None:
    chosen = settings(rate=0.1, rate_end=0.01, warmup=1, clip=0.5, accumulate=2, auxiliary=0.3, label_smoothing=0.1)
    network, data = small_network(), Squares()
    mine = copy.deepcopy(network)
    records: list[dict[str, Any]] = []

    def keep(kind: str, state: TrainState, record: dict[str, Any]) -> None:
        records.append({"kind": kind, **record})

    state = TrainState(network, chosen)
    train_network(state, data, task(), keep)

    optimiser = torch.optim.SGD(mine.parameters(), 0.1, momentum=0.9, weight_decay=3e-4)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    losses = []
    for epoch in range(3):
        cosine = 0.01 + 0.09 * (1 + math.cos(math.pi * (epoch - 1) / 2)) / 2
        for group in ((0, 1), (2, 3), (4,)):
            rate = 0.1 * (group[-1] + 1) / 5 if epoch == 0 else cosine
            optimiser.param_groups[0]["lr"] = rate
            optimiser.zero_grad()
            for k in group:
                images, targets = data.item(5 * epoch + k)
                logits, extra = mine.train().with_auxiliary(images)
                assert extra is not None
                loss = criterion(logits, targets)
                losses.append(float(loss.detach()))
                ((loss + 0.3 * criterion(extra, targets)) / len(group)).backward()
            nn.utils.clip_grad_norm_(mine.parameters(), 0.5)
            optimiser.step()

    for name, tensor in mine.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert [record["loss"] for record in epochs] == pytest.approx(
        [sum(losses[5 * epoch : 5 * epoch + 5]) / 5 for epoch in range(3)], rel=1e-3
    )
    assert [record["epoch"] for record in epochs] == [1, 2, 3]
    assert [record["rate"] for record in epochs] == pytest.approx([0.1, 0.1, 0.055])
    assert [record["step"] for record in records if record["kind"] == "step"] == list(range(1, 10))
    assert (state.epoch, state.step, state.position) == (3, 9, 15)


def test_it_learns() -> None:
    network, records = small_network(), []

    def keep(kind: str, state: TrainState, record: dict[str, Any]) -> None:
        records.append({"kind": kind, **record})

    train_network(TrainState(network, settings(epochs=8)), Squares(), task(), keep, part="weights")
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert epochs[-1]["loss"] < 0.5 * epochs[0]["loss"]
    assert epochs[-1]["train_accuracy"] > 0.8 > epochs[0]["train_accuracy"]
    images, targets = Squares().item(100)
    with torch.no_grad():
        expected = float(functional.cross_entropy(network.eval()(images), targets))
    assert epochs[-1]["validation"]["loss"] == pytest.approx(expected)


def test_trained_on_everything_there_is_no_validation() -> None:
    seen: list[Any] = []

    def keep(kind: str, state: TrainState, record: dict[str, Any]) -> None:
        seen.append(record.get("validation", "step"))

    train_network(TrainState(small_network(), settings(epochs=1)), Squares(), task(), keep)
    assert seen == ["step"] * 5 + [None]


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    chosen = settings(epochs=6, warmup=2, rate=0.4, rate_end=0.1)
    assert learning_rate(chosen, 0, 0.25) == pytest.approx(0.05)
    assert learning_rate(chosen, 1, 1.0) == pytest.approx(0.4)
    assert learning_rate(chosen, 2, 0.1) == pytest.approx(0.4)
    assert learning_rate(chosen, 4, 0.9) == pytest.approx(0.25)
    assert learning_rate(settings(epochs=4), 0, 0.1) == 0.025


def test_the_rate_can_fall_linearly_as_usual_on_imagenet() -> None:
    chosen = settings(epochs=250, warmup=5, rate=0.5, rate_schedule="linear")
    assert learning_rate(chosen, 4, 1.0) == pytest.approx(0.5)
    assert [learning_rate(chosen, epoch, 0.3) for epoch in (5, 54, 103, 249)] == pytest.approx(
        [0.5, 0.4, 0.3, 0.5 / 245]
    )


def test_drop_path_rises_linearly_and_hides_edges_only_in_training() -> None:
    chosen = settings(epochs=4, drop_path=0.2)
    assert [drop_probability(chosen, epoch) for epoch in range(4)] == pytest.approx([0.0, 0.05, 0.1, 0.15])
    seen = []

    def keep(kind: str, state: TrainState, record: dict[str, Any]) -> None:
        seen.append(state.network.drop_path)

    network = small_network()
    train_network(TrainState(network, chosen), Squares(), task(), keep)
    assert seen == pytest.approx([p for epoch in range(4) for p in [0.05 * epoch] * 6])
    images, _ = Squares().item(0)
    with torch.no_grad():
        assert torch.equal(network.eval()(images), network(images))


def run_until(stop: int | None, state: TrainState) -> None:
    """Train; stop after so many steps in all."""

    def interrupt(kind: str, state: TrainState, record: dict[str, Any]) -> bool:
        return kind == "step" and record["step"] == stop

    train_network(state, Squares(), task(), interrupt)


@pytest.mark.parametrize("stop", [1, 4, 8])
def test_resumed_is_the_same_as_uninterrupted(stop: int, tmp_path: Path) -> None:
    chosen = settings(drop_path=0.9, warmup=1, accumulate=2)
    network = small_network()
    whole = TrainState(copy.deepcopy(network), chosen, seed=5)
    run_until(None, whole)

    first = TrainState(network, chosen, seed=5)
    with pytest.raises(TrainingStoppedError):
        run_until(stop, first)
    checkpoint.save(tmp_path, "train-0000", first.state_dict())
    second = TrainState(small_network(), chosen, seed=5)
    tree: Any = checkpoint.load(tmp_path / "train-0000")
    second.load_state_dict(tree)
    torch.rand(17)  # the global generator has no say
    run_until(None, second)

    checkpoint.save(tmp_path, "resumed", second.state_dict())
    checkpoint.save(tmp_path, "whole", whole.state_dict())
    for file in ("state.safetensors", "state.json"):
        assert (tmp_path / "resumed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_another_seed_drops_other_paths() -> None:
    network, losses = small_network(), []
    for seed in (0, 1):
        state = TrainState(copy.deepcopy(network), settings(epochs=2, drop_path=0.9), seed=seed)
        run_until(None, state)
        losses.append(state.network.get_parameter("classifier.weight").detach().clone())
    assert not torch.equal(*losses)


def test_training_leaves_the_global_generator_alone() -> None:
    state = TrainState(small_network(), settings(epochs=2, drop_path=0.5))
    before = torch.get_rng_state()
    run_until(None, state)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scale", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(scale: float) -> None:
    state = TrainState(small_network(), settings())
    before = {name: parameter.detach().clone() for name, parameter in state.network.named_parameters()}
    with pytest.raises(NotFiniteError, match=r"At step 1 \(epoch 1\).*train.rate"):
        train_network(state, Squares(scale=scale), task(), quiet)
    assert all(torch.equal(before[name], parameter) for name, parameter in state.network.named_parameters())
    assert (state.step, state.position) == (0, 0)


def test_a_gradient_that_is_not_finite_counts_as_well() -> None:
    def steep(output: Tensor, target: Tensor) -> Tensor:
        return (output - output.detach()).abs().sqrt().sum()  # 0, with an infinite slope

    with pytest.raises(NotFiniteError, match="the norm of its gradient (inf|nan)"):
        train_network(
            TrainState(small_network(), settings()), Squares(), ImageTask((1, 8, 8), CLASSES, loss=steep), quiet
        )


def test_an_epoch_is_enough_when_the_listener_says_so() -> None:
    def enough(kind: str, state: TrainState, record: dict[str, Any]) -> bool:
        return kind == "epoch"

    state = TrainState(small_network(), settings())
    train_network(state, Squares(), task(), enough)
    assert (state.epoch, state.step) == (1, 5)


def test_mistakes_are_named_before_any_work() -> None:
    with pytest.raises(InputError, match=r"train\.warmup is 3 epochs and the whole training has 3"):
        train_network(TrainState(small_network(), settings(warmup=3)), Squares(), task(), quiet)
    with pytest.raises(InputError, match=r"train\.batch must be at least 2"):
        train_network(TrainState(small_network(), settings()), Squares(batch=1), task(), quiet)
    own = ImageTask((1, 8, 8), CLASSES, loss=lambda output, target: output.sum())
    with pytest.raises(InputError, match=r"train\.label_smoothing=0\.1 belongs to cross entropy"):
        train_network(TrainState(small_network(), settings(label_smoothing=0.1)), Squares(), own, quiet)
