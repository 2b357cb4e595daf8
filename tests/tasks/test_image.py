"""The image task: loss, metrics and weighted means."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from archgrad.errors import InputError, RunError
from archgrad.tasks.data import open_data
from archgrad.tasks.image import ImageTask, accuracy

TASK = ImageTask((1, 2, 2), ("a", "b", "c"))


def logits(inputs: Tensor) -> Tensor:
    return inputs.flatten(1)[:, :3]


def test_the_loss_is_cross_entropy() -> None:
    output, target = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    by_hand = [-math.log(math.exp(o[t]) / sum(map(math.exp, o))) for o, t in zip(output.tolist(), target.tolist())]  # noqa: B905
    assert float(TASK.loss(output, target)) == pytest.approx(sum(by_hand) / 5, rel=1e-5)


def test_accuracy_is_the_share_of_hits() -> None:
    output = torch.eye(3)[torch.tensor([0, 1, 2, 2])]
    assert float(accuracy(output, torch.tensor([0, 1, 2, 0]))) == 0.75


def test_evaluation_weighs_batches_by_their_sizes() -> None:
    inputs, targets = torch.randn(7, 1, 2, 2), torch.randint(3, (7,))
    whole = TASK.evaluate(logits, [(inputs, targets)])
    parts = TASK.evaluate(logits, [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])])
    assert parts == pytest.approx(whole, rel=1e-6)
    assert whole["accuracy"] == pytest.approx((logits(inputs).argmax(1) == targets).float().mean().item())
    assert list(whole) == ["loss", "accuracy"]


def test_evaluation_leaves_no_gradient_and_no_mode_behind() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).train()
    TASK.evaluate(network, [(torch.randn(2, 1, 2, 2), torch.tensor([0, 1]))])
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_users_loss_and_metrics_take_their_places() -> None:
    def squares(output: Tensor, target: Tensor) -> Tensor:
        return (output - nn.functional.one_hot(target, 3)).square().mean()

    task = ImageTask((1, 2, 2), ("a", "b", "c"), loss=squares, metrics={"first": lambda o, t: 1.0, "size": len_of})
    result = task.evaluate(logits, [(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))])
    assert result == pytest.approx({"loss": 1 / 3, "first": 1.0, "size": 2.0})


def len_of(output: Tensor, target: Tensor) -> int:
    return len(target)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("callable of", {"loss": "mse"}),
        ("these are not: f1", {"metrics": {"f1": 3}}),
        ("called 'loss'", {"metrics": {"loss": accuracy}}),
    ],
)
def test_what_is_no_measure_is_refused(words: str, arguments: dict[str, object]) -> None:
    with pytest.raises(InputError, match=words):
        ImageTask((1, 2, 2), ("a", "b"), **arguments)  # type: ignore[arg-type]


def test_measures_of_the_wrong_kind_are_named() -> None:
    batch = [(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))]
    unreduced = ImageTask((1, 2, 2), ("a", "b", "c"), loss=nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(InputError, match=r"a tensor of shape \(2,\)"):
        unreduced.evaluate(logits, batch)
    with pytest.raises(InputError, match="Metric 'each' must return one number, it returned 2"):
        ImageTask((1, 2, 2), ("a", "b", "c"), metrics={"each": lambda o, t: o[:, 0]}).evaluate(logits, batch)
    with pytest.raises(InputError, match="Metric 'words'.*str"):
        ImageTask((1, 2, 2), ("a", "b", "c"), metrics={"words": lambda o, t: "good"}).evaluate(  # type: ignore[dict-item,return-value]
            logits, batch
        )


def test_no_batches_are_an_error() -> None:
    with pytest.raises(RunError, match="no batches"):
        TASK.evaluate(logits, [])


def test_the_task_of_data_has_their_shape_and_classes() -> None:
    data = open_data("digits", seed=0, batch=8, choice_share=0.5, device="cpu")
    task = ImageTask.of(data)
    assert task.input_shape == (1, 8, 8)
    assert task.classes == tuple("0123456789")
    assert task.name == data.task == "image"
