"""Optimiser steps on stacks equal steps on separate parameters, whatever runs in each step."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from archgrad.engine.optimise import masked_step
from archgrad.optimisers import cosine_rate, load_named_state, named_state

SLICES, STEPS = 4, 8


def supports(seed: int) -> list[frozenset[int]]:
    """Return which slices run in each step; all, none and single ones occur."""
    chance = random.Random(seed)
    drawn = [frozenset(k for k in range(SLICES) if chance.random() < 0.5) for _ in range(STEPS - 2)]
    return [frozenset({1}), *drawn, frozenset(range(SLICES))]


def stack_and_parts(seed: int) -> tuple[nn.Parameter, list[nn.Parameter], Tensor]:
    torch.manual_seed(seed)
    start, target = torch.randn(2, SLICES, 3, 2, dtype=torch.float64)
    return nn.Parameter(start.clone()), [nn.Parameter(part.clone()) for part in start], target


def gradients(weight: Tensor, target: Tensor) -> Tensor:
    """Return the gradient of a quartic bowl, so that every step depends on where the weights are."""
    return (4 * (weight - target) ** 3).detach()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    ids=["plain", "momentum", "decay", "nesterov"],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sgd_on_a_stack_is_sgd_on_separate_parameters(options: dict[str, float], seed: int) -> None:
    stack, parts, target = stack_and_parts(seed)
    together = torch.optim.SGD([stack], lr=0.01, **options)  # type: ignore[arg-type]
    apart = torch.optim.SGD(parts, lr=0.01, **options)  # type: ignore[arg-type]
    for live in supports(seed):
        stack.grad = torch.zeros_like(stack)
        for k, part in enumerate(parts):
            part.grad = gradients(part, target[k]) if k in live else None
            if k in live:
                stack.grad[k] = gradients(stack[k], target[k])
        masked_step(together, {"stack": stack}, {} if len(live) == SLICES else {"stack": live})
        apart.step()
        for k, part in enumerate(parts):
            torch.testing.assert_close(stack[k].detach(), part.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer_class", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_on_a_stack_differs_in_the_count_of_steps_alone(optimizer_class: type[torch.optim.Adam]) -> None:
    stack, parts, target = stack_and_parts(3)
    together = optimizer_class([stack], lr=0.05, betas=(0.5, 0.9), weight_decay=0.1)
    apart = optimizer_class(parts, lr=0.05, betas=(0.5, 0.9), weight_decay=0.1)
    for part in parts:
        zeros = torch.zeros_like(part)
        apart.state[part] = {"step": torch.tensor(0.0), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
    count = 0
    for live in supports(3):
        stack.grad = torch.zeros_like(stack)
        for k, part in enumerate(parts):
            part.grad = gradients(part, target[k]) if k in live else None
            apart.state[part]["step"] = torch.tensor(float(count))
            if k in live:
                stack.grad[k] = gradients(stack[k], target[k])
        masked_step(together, {"stack": stack}, {"stack": live})
        apart.step()
        count += bool(live)
        for k, part in enumerate(parts):
            torch.testing.assert_close(stack[k].detach(), part.detach(), rtol=1e-12, atol=1e-12)


def test_adam_is_exact_for_slices_that_always_run() -> None:
    stack, parts, target = stack_and_parts(4)
    together, apart = torch.optim.Adam([stack], lr=0.05), torch.optim.Adam(parts[:2], lr=0.05)
    for _ in range(5):
        stack.grad = gradients(stack, target)
        for k, part in enumerate(parts[:2]):
            part.grad = gradients(part, target[k])
        masked_step(together, {"stack": stack}, {"stack": frozenset({0, 1})})
        apart.step()
    for k, part in enumerate(parts):
        torch.testing.assert_close(stack[k].detach(), part.detach(), rtol=1e-12, atol=1e-12)


def test_a_parameter_that_is_not_used_at_all_is_passed_over() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([used, unused], lr=0.1, momentum=0.9, weight_decay=0.5)
    used.grad, unused.grad = torch.ones(2), torch.ones(2)
    masked_step(optimizer, {"used": used, "unused": unused}, {"unused": frozenset()})
    assert torch.equal(unused.detach(), torch.ones(2))
    assert not optimizer.state[unused]
    assert not torch.equal(used.detach(), torch.ones(2))


def test_state_by_name_can_be_saved_and_found_again() -> None:
    def fresh() -> tuple[dict[str, Tensor], torch.optim.Adam]:
        torch.manual_seed(0)
        weights: dict[str, Tensor] = {name: nn.Parameter(torch.randn(3)) for name in ("a", "b", "idle")}
        return weights, torch.optim.Adam(list(weights.values()), lr=0.1)

    def step(weights: dict[str, Tensor], optimizer: torch.optim.Adam) -> None:
        for name in ("a", "b"):
            weights[name].grad = gradients(weights[name], torch.zeros(3))
        optimizer.step()

    weights, optimizer = fresh()
    step(weights, optimizer)
    saved = {
        name: {key: value.clone() for key, value in entries.items()}
        for name, entries in named_state(optimizer, weights).items()
    }
    assert set(saved) == {"a", "b"}
    again, other = fresh()
    with torch.no_grad():
        for name, weight in again.items():
            weight.copy_(weights[name])
    load_named_state(other, again, saved)
    loaded = {name: {key: value.clone() for key, value in entries.items()} for name, entries in saved.items()}
    for _ in range(2):
        step(weights, optimizer)
        step(again, other)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    for name, entries in saved.items():  # what was loaded is still what was saved
        assert all(torch.equal(value, loaded[name][key]) for key, value in entries.items())


@given(st.floats(0, 1), st.floats(1e-6, 10), st.floats(0, 1))
def test_the_cosine_falls_from_start_to_end(progress: float, start: float, end: float) -> None:
    assert cosine_rate(start, end, 0.0) == pytest.approx(start)
    assert cosine_rate(start, end, 1.0) == pytest.approx(end, abs=1e-12)
    assert cosine_rate(start, end, 0.5) == pytest.approx((start + end) / 2)
    half_angle = math.cos(math.pi * progress / 2) ** 2  # (1 + cos x) / 2 = cos(x/2)^2
    assert cosine_rate(start, end, progress) == pytest.approx(start * half_angle + end * (1 - half_angle), abs=1e-9)
