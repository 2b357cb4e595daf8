"""Search gradients against the closed form, against each other in the mean, and credits read off a real update."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.engine.toys import ToyData, next_update, toy_state
from torch import Tensor

from archgrad.choices import Choices, ChoiceTable, Concrete, Progress, Softmax
from archgrad.choices.concrete import concrete_sample, gumbel
from archgrad.engine import Joint
from archgrad.engine.credit import added_credits, edge_credit, score_function_gradient
from archgrad.engine.update import Streams, update
from archgrad.errors import InputError

MIDDLE = Progress(elapsed=0.5, epoch=0.5)


def candidates(x: Tensor, row: int) -> Tensor:
    """Return three made-up operations of one edge on x, [3, features]."""
    return torch.stack([torch.tanh(x * (row + 1)), x**2 - 0.3 * row, 0.5 * x.roll(row + 1)])


def small_cell(samples: Tensor, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the loss of a cell of three nodes, every node's state and every edge's candidates.

    Args:
        samples: Z of the three edges (0, 1), (0, 2), (1, 2), [3, 3].
        x: the input node's state, [features].
    """
    first = candidates(x, 0)
    node1 = samples[0] @ first
    second, third = candidates(x, 1), candidates(node1, 2)
    node2 = samples[1] @ second + samples[2] @ third
    return (torch.sin(node2) + 0.1 * node2**2).sum(), [node1, node2], [first, second, third]


def test_the_pathwise_gradient_is_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, dtype=torch.float64, generator=generator)
    log_alpha = torch.randn(3, 3, dtype=torch.float64, generator=generator).requires_grad_()
    noise, temperature = gumbel(3, 3, generator), 0.6
    sample = concrete_sample(log_alpha, torch.ones(3, 3, dtype=torch.bool), noise, temperature)
    loss, nodes, outputs = small_cell(sample, x)
    found = torch.autograd.grad(loss, [log_alpha, *nodes], retain_graph=True)
    pathwise, into = found[0], [found[1], found[2], found[2]]  # dL/dx_j of the node that each edge leads to
    closed = torch.zeros_like(pathwise)
    for edge in range(3):
        products = [float(into[edge] @ outputs[edge][k].detach()) for k in range(3)]
        z = sample[edge].detach()
        for k in range(3):
            # sum_k' (dL/dx_j . O_k'(x_i)) (delta_k'k - Z_k') Z_k / lambda: with log alpha the 1 / alpha_k is gone
            closed[edge, k] = sum(products[o] * (float(o == k) - z[o]) * z[k] for o in range(3)) / temperature
    torch.testing.assert_close(pathwise, closed, rtol=1e-9, atol=1e-12)


def test_the_credit_is_the_nodes_gradient_times_what_the_edge_adds() -> None:
    generator = torch.Generator().manual_seed(0)
    sample = torch.softmax(torch.randn(3, 3, dtype=torch.float64, generator=generator), 1).requires_grad_()
    loss, nodes, outputs = small_cell(sample, torch.randn(4, dtype=torch.float64, generator=generator))
    gradient, *into = torch.autograd.grad(loss, [sample, *nodes])
    added = [sample[edge].detach() @ outputs[edge].detach() for edge in range(3)]
    expected = torch.stack([into[0] @ added[0], into[1] @ added[1], into[1] @ added[2]])
    torch.testing.assert_close(edge_credit(sample.detach(), gradient), expected, rtol=1e-12, atol=1e-14)


class OneTable:
    """What :func:`score_function_gradient` asks of choices, over one table."""

    def __init__(self, logits: Tensor) -> None:
        self.table = ChoiceTable(logits)

    def items(self) -> list[tuple[str, ChoiceTable]]:
        return [("cell", self.table)]

    def parameters(self) -> Any:
        return self.table.parameters()


def test_score_function_and_pathwise_gradients_agree_in_the_mean(capsys: pytest.CaptureFixture[str]) -> None:
    draws, relaxation = 4000, Concrete(start=1.0, end=0.5, floor=1e-12)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, dtype=torch.float64, generator=generator)
    choices = OneTable(0.5 * torch.randn(3, 3, dtype=torch.float64, generator=generator))
    found: dict[str, list[Tensor]] = {"pathwise": [], "score": []}
    for _ in range(draws):
        noise = relaxation.noise(choices.table, generator)
        loss, _, _ = small_cell(relaxation(choices.table, MIDDLE, noise).weights, x)
        found["pathwise"] += torch.autograd.grad(loss, [choices.table.logits])
        reward = loss.detach().expand(3)
        found["score"] += score_function_gradient(choices, relaxation, MIDDLE, [{"cell": noise}], [{"cell": reward}])  # type: ignore[arg-type]
    stacked = {name: torch.stack(values) for name, values in found.items()}
    difference = stacked["pathwise"].mean(0) - stacked["score"].mean(0)
    error = ((stacked["pathwise"].var(0) + stacked["score"].var(0)) / draws).sqrt()
    largest = float((difference / error).abs().max())
    ratio = float(stacked["score"].var(0).sum() / stacked["pathwise"].var(0).sum())
    with capsys.disabled():
        print(f"\npathwise against score function: {largest:.2f} standard errors apart, variance 1 : {ratio:.1f}")
    assert largest < 3.0
    assert ratio > 1.0


def test_credits_of_micro_batches_add_up() -> None:
    sample = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    gradients = [torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[-1.0, 0.0], [2.0, 2.0]])]
    first = added_credits([], [{"normal": sample}, {"normal": sample}], [gradients[0], None])
    both = added_credits(first, [{"normal": sample}, {"normal": sample}], [gradients[1], gradients[1]])
    assert [draw["normal"].tolist() for draw in both] == [[1.75 - 0.25, 2.0 + 2.0], [-0.25, 2.0]]


def test_a_joint_update_is_one_forward_and_one_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    state = toy_state(relaxation=Concrete(), schedule=Joint(), data=ToyData(steps=4))
    forwards, backwards = [], []
    state.supernet.register_forward_hook(lambda *_: forwards.append(1))
    original = torch.autograd.grad

    def counted(*given: Any, **options: Any) -> Any:
        backwards.append(1)
        return original(*given, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    before = [c.detach().clone() for c in state.choices.parameters()], {n: w.clone() for n, w in state.weights.items()}
    done = update(state, Streams(state))
    assert (len(forwards), len(backwards)) == (1, 1)
    assert not any(torch.equal(a, b) for a, b in zip(before[0], state.choices.parameters(), strict=True))
    assert any(not torch.equal(before[1][name], weight) for name, weight in state.weights.items())
    assert state.positions == {"weights": 1, "choices": 0}
    (credits,) = done.problem.credits
    assert all(credit.shape == (len(state.parts.space.cells[kind].edges),) for kind, credit in credits.items())


def test_a_bilevel_update_keeps_the_credits_of_its_choice_step() -> None:
    state = toy_state(relaxation=Softmax(), data=ToyData(steps=4))
    done = update(state, Streams(state))
    (credits,) = done.problem.credits
    assert any(bool(credit.any()) for credit in credits.values())
    assert {kind: len(rows) for kind, rows in state.sums.credit.items()} == {k: len(c) for k, c in credits.items()}


@pytest.mark.parametrize("estimator", ["pathwise", "score_function", "credit"])
def test_joint_gradients_of_the_weights_do_not_depend_on_the_estimator(estimator: Any) -> None:
    def gradients(estimator: Any) -> tuple[list[Tensor | None], list[Tensor], Any]:
        state = toy_state(relaxation=Concrete(), schedule=Joint(), data=ToyData(steps=4))
        problem = next_update(state).problem
        return (*problem.joint_gradient(estimator), problem)

    weights, choices, problem = gradients(estimator)
    plain, pathwise, _ = gradients("pathwise")
    for one, other in zip(weights, plain, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other)
    assert all(bool(torch.isfinite(choice).all()) for choice in choices)
    if estimator != "pathwise":
        assert any(not torch.allclose(a, b) for a, b in zip(choices, pathwise, strict=True))
        rewards = problem.credits
        if estimator == "score_function":
            rewards = [{k: torch.full_like(c, problem.losses["train"]) for k, c in draw.items()} for draw in rewards]
        expected = score_function_gradient(
            problem.state.choices, problem.parts.relaxation, problem.progress, problem.noise, rewards
        )
        for found, wanted in zip(choices, expected, strict=True):
            torch.testing.assert_close(found, wanted)


def test_score_functions_need_samples() -> None:
    state = toy_state(relaxation=Softmax(), schedule=Joint(estimator="credit"))
    with pytest.raises(InputError, match="Softmax draws no samples.*relaxation=concrete"):
        update(state, Streams(state))
    assert isinstance(state.choices, Choices)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(InputError, match="pathwise"):
        Joint(estimator="pathwize")  # type: ignore[arg-type]
