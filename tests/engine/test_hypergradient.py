"""The unrolled gradient against central differences of the unrolled validation loss itself.

The figures are printed: ``pytest -s tests/engine/test_hypergradient.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from archgrad.engine.hypergradient import (
    FirstOrder,
    InnerStep,
    Level,
    Unrolled,
    perturbed,
    unrolled_weights,
)
from archgrad.errors import InputError

FUNCTIONS: tuple[Callable[[Tensor], Tensor], ...] = (torch.tanh, torch.sin, torch.sigmoid, lambda x: x)


class SmoothProblem:
    """A regression through two mixed layers of smooth functions, in float64, as a bilevel problem.

    The inner step has momentum with a buffer that is not zero (none yet for one of the weights) and weight decay.
    """

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.weights = {"first": draw(3, 4).requires_grad_(), "second": draw(4, 2).requires_grad_()}
        self.choices = [draw(1, 4).requires_grad_(), draw(1, 4).requires_grad_()]
        self.batches: dict[Level, tuple[Tensor, Tensor]] = {
            "train": (draw(9, 3), draw(9, 2)),
            "validation": (draw(7, 3), draw(7, 2)),
        }
        self.inner = InnerStep(rate=0.2, momentum=0.9, decay=0.1, buffers={"first": draw(3, 4)})

    def loss(self, level: Level, weights: Mapping[str, Tensor], choices: Sequence[Tensor]) -> Tensor:
        x, y = self.batches[level]
        for weight, logits in zip((weights["first"], weights["second"]), choices, strict=True):
            z, p = x @ weight, torch.softmax(logits[0], 0)
            x = p[0] * torch.tanh(z) + p[1] * torch.sin(z) + p[2] * torch.sigmoid(z) + p[3] * z
        return ((x - y) ** 2).mean()

    def gradient(
        self,
        level: Level,
        inputs: Sequence[Tensor],
        weights: Mapping[str, Tensor] | None = None,
        create_graph: bool = False,
    ) -> list[Tensor]:
        loss = self.loss(level, self.weights if weights is None else weights, self.choices)
        return list(torch.autograd.grad(loss, list(inputs), create_graph=create_graph))

    def unrolled_loss(self, choices: Sequence[Tensor]) -> float:
        """Return L_val(w', alpha), w' after one step of SGD with momentum and decay, written out."""
        gradients = torch.autograd.grad(self.loss("train", self.weights, choices), list(self.weights.values()))
        ahead = {}
        for (name, w), g in zip(self.weights.items(), gradients, strict=True):
            buffer = self.inner.buffers.get(name, torch.zeros_like(w))
            ahead[name] = w.detach() - 0.2 * (0.9 * buffer + g + 0.1 * w.detach())
        return float(self.loss("validation", ahead, choices))


def central_differences(
    loss: Callable[[Sequence[Tensor]], float], choices: Sequence[Tensor], step: float, every: int = 1
) -> Tensor:
    """Return the gradient of a function of the choices, entry by entry, or every so many entries of each."""
    start = [choice.detach().clone() for choice in choices]
    found = []
    for choice in start:
        flat = choice.view(-1)
        for index in range(0, len(flat), every):
            value = float(flat[index])
            flat[index] = value + step
            above = loss(start)
            flat[index] = value - step
            below = loss(start)
            flat[index] = value
            found.append((above - below) / (2 * step))
    return torch.tensor(found, dtype=torch.float64)


def flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.detach().reshape(-1) for gradient in gradients])


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def check_unrolled_gradients() -> None:
    """Compare first order, both forms of the unrolled gradient, and central differences of the unrolled loss."""
    problem = SmoothProblem()
    truth = central_differences(problem.unrolled_loss, problem.choices, 1e-5)
    exact = flat(Unrolled(method="autograd")(problem))
    published = flat(Unrolled(method="finite_difference")(problem))
    first = flat(FirstOrder()(problem))
    print(f"\nunrolled by autograd against central differences: {relative(exact, truth):.1e} relative (at most 1e-6)")
    print(f"finite differences (DARTS, equation 8) against autograd: {relative(published, exact):.1e} (at most 1e-3)")
    print(f"first order against the unrolled gradient: {relative(first, truth):.1e} (more than 1e-2)")
    assert relative(first, truth) > 1e-2
    assert relative(exact, truth) <= 1e-6
    assert relative(published, exact) <= 1e-3


def test_unrolled_gradients_are_those_of_the_unrolled_loss() -> None:
    check_unrolled_gradients()


def test_the_check_finds_a_missing_parenthesis(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_parenthesis(self: Unrolled, problem: SmoothProblem, vector: list[Tensor]) -> list[Tensor]:
        eps = self.epsilon / torch.sqrt(torch.stack([(v * v).sum() for v in vector]).sum())
        plus = problem.gradient("train", problem.choices, weights=perturbed(problem.weights, vector, eps))
        minus = problem.gradient("train", problem.choices, weights=perturbed(problem.weights, vector, -eps))
        return [(p - n) / 2 * eps for p, n in zip(plus, minus, strict=True)]  # the published bug

    monkeypatch.setattr(Unrolled, "_mixed_product", without_parenthesis)
    with pytest.raises(AssertionError):
        check_unrolled_gradients()


def test_the_check_finds_a_forgotten_momentum_or_decay() -> None:
    for wrong in (InnerStep(0.2, 0.0, 0.1), InnerStep(0.2, 0.9, 0.0, SmoothProblem().inner.buffers)):
        problem = SmoothProblem()
        truth = central_differences(problem.unrolled_loss, problem.choices, 1e-5)
        problem.inner = wrong
        assert relative(flat(Unrolled(method="autograd")(problem)), truth) > 1e-3


@pytest.mark.parametrize("method", ["autograd", "finite_difference"])
def test_a_quadratic_problem_has_a_closed_form(method: str) -> None:
    class Quadratic(SmoothProblem):
        """L_train = |w - M alpha|^2 / 2 and L_val = |w|^2 / 2 + c alpha: dL/dalpha = c + xi M' w'."""

        def __init__(self) -> None:
            super().__init__()
            self.matrix = torch.randn(5, 3, dtype=torch.float64)
            self.slope = torch.randn(3, dtype=torch.float64)
            self.weights = {"w": torch.randn(5, dtype=torch.float64, requires_grad=True)}
            self.choices = [torch.randn(3, dtype=torch.float64, requires_grad=True)]
            self.inner = InnerStep(0.3, 0.9, 0.1, {"w": torch.randn(5, dtype=torch.float64)})

        def loss(self, level: Level, weights: Mapping[str, Tensor], choices: Sequence[Tensor]) -> Tensor:
            w, alpha = weights["w"], choices[0]
            if level == "train":
                return ((w - self.matrix @ alpha) ** 2).sum() / 2
            return (w**2).sum() / 2 + self.slope @ alpha

    problem = Quadratic()
    w, alpha = problem.weights["w"].detach(), problem.choices[0].detach()
    ahead = w - 0.3 * (0.9 * problem.inner.buffers["w"] + (w - problem.matrix @ alpha) + 0.1 * w)
    expected = problem.slope + 0.3 * problem.matrix.T @ ahead
    (found,) = Unrolled(method=method)(problem)  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_inner_step_is_the_next_step_of_sgd() -> None:
    weight = torch.nn.Parameter(torch.randn(6, dtype=torch.float64))
    target = torch.randn(6, dtype=torch.float64)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.7, weight_decay=0.05)
    for step in range(4):
        (gradient,) = torch.autograd.grad(((weight - target) ** 4).sum(), weight)
        buffers = {} if step == 0 else {"w": optimizer.state[weight]["momentum_buffer"]}
        ahead = unrolled_weights({"w": weight}, [gradient], InnerStep(0.1, 0.7, 0.05, buffers))["w"].detach().clone()
        weight.grad = gradient
        optimizer.step()
        torch.testing.assert_close(weight.detach(), ahead, rtol=1e-12, atol=1e-12)


def test_choices_that_reach_the_validation_loss_alone_get_the_first_order_gradient() -> None:
    class Separate(SmoothProblem):
        def gradient(
            self,
            level: Level,
            inputs: Sequence[Tensor],
            weights: Mapping[str, Tensor] | None = None,
            create_graph: bool = False,
        ) -> list[Tensor]:
            if level == "validation":  # does not depend on the weights: the vector of equation 8 is zero
                loss = torch.stack([(choice**3).sum() for choice in self.choices]).sum()
                found = torch.autograd.grad(loss, list(inputs), allow_unused=True)
                return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
            return super().gradient(level, inputs, weights, create_graph)

    problem = Separate()
    for method in ("autograd", "finite_difference"):
        found = Unrolled(method=method)(problem)
        torch.testing.assert_close(found, [3 * choice.detach() ** 2 for choice in problem.choices])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="'exact' is unknown; use finite_difference or autograd"):
        Unrolled(method="exact")  # type: ignore[arg-type]
