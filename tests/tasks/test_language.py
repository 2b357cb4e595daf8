"""The loss in pieces equals the whole one, and what knows nothing is as perplexed as the vocabulary is large."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from archgrad.errors import InputError, RunError
from archgrad.network.language import LanguageNetwork, Reading
from archgrad.tasks import language
from archgrad.tasks.language import LanguageTask, next_token_loss, perplexity


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_loss_in_pieces_and_its_gradients(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    states = torch.randn(7, 9, 5, dtype=dtype, requires_grad=True)
    embedding, bias = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in ((83, 5), (83,)))
    targets = torch.randint(83, (7, 9))
    plain = F.cross_entropy(F.linear(states, embedding, bias).flatten(0, 1), targets.flatten())
    expected = torch.autograd.grad(plain, [states, embedding, bias])
    for chunked in (True, False, None):
        loss = next_token_loss(states, embedding, bias, targets, chunked=chunked)
        found = torch.autograd.grad(loss, [states, embedding, bias])
        torch.testing.assert_close(loss, plain, rtol=tolerance, atol=0)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_large_vocabularies_never_have_all_scores_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = function(*args, **(kwargs or {}))
            if isinstance(output, torch.Tensor):
                largest.append(output.numel())
            return output

    states, embedding, bias = torch.randn(512, 8), torch.randn(1000, 8), torch.zeros(1000)
    for limit, few in ((512 * 1000, True), (512 * 1000 + 1, False)):
        monkeypatch.setattr(language, "CHUNKED_FROM", limit)
        largest.clear()
        with Watch():  # type: ignore[no-untyped-call]
            next_token_loss(states, embedding, bias, torch.zeros(512, dtype=torch.long))
        assert (max(largest, default=0) < 512 * 1000) == few


def uniform(tokens: int) -> LanguageNetwork:
    network = LanguageNetwork({"recurrence": {"lstm": True, "inputs": 4, "hidden": 4}, "tokens": tokens})
    with torch.no_grad():
        network.ends.embedding.zero_()
    return network.eval()


def test_a_uniform_model_is_as_perplexed_as_the_vocabulary_is_large() -> None:
    network = uniform(37)
    batches = [
        (torch.randint(37, (3, 5)), torch.randint(37, (3, 5))),
        (torch.zeros(2, 1).long(), torch.ones(2, 1).long()),
    ]
    found = LanguageTask().evaluate(lambda x, *handed: network.read(x.T, *handed), batches)
    assert found["perplexity"] == pytest.approx(37) and found["bits"] == pytest.approx(math.log2(37))
    assert found["loss"] == pytest.approx(math.log(37))
    assert perplexity(1e4) == math.inf
    with pytest.raises(RunError, match="nothing to evaluate on"):
        LanguageTask().evaluate(lambda x: network.read(x.T), [])


def test_own_loss_and_metrics_see_scores_and_targets() -> None:
    def top(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        assert scores.shape == (len(target), 5)
        return (scores.argmax(1) == target).float().mean()

    torch.manual_seed(0)
    task = LanguageTask(loss=lambda s, t: F.cross_entropy(s, t) * 2, metrics={"top": top})
    reading = Reading(torch.randn(3, 2, 4), torch.zeros(2, 4), torch.randn(5, 4), torch.zeros(5))
    target = torch.randint(5, (2, 3))
    assert task.loss(reading, target).item() == pytest.approx(2 * LanguageTask().loss(reading, target).item())
    found = task.evaluate(lambda x: reading, [(target, reading.scores().argmax(2).T)])
    assert found["top"] == 1 and set(found) == {"loss", "top"}
    with pytest.raises(InputError, match="label_smoothing"):
        task.training_loss(0.1)
    with pytest.raises(InputError, match="No metric may be called 'loss'"):
        LanguageTask(metrics={"loss": top})
