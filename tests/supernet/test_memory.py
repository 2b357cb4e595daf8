"""Bytes that a backward needs are counted, each storage once, without those that exist anyway."""

from __future__ import annotations

import torch
from tests.supernet.small import logits_of, masked, small

from archgrad.choices import Progress, Softmax
from archgrad.supernet.memory import peak_bytes, saved_bytes


def test_a_chain_saves_what_its_derivatives_need() -> None:
    x = torch.rand(100, requires_grad=True)
    assert saved_bytes(lambda: x.exp().sum()) == 400  # its own result
    assert saved_bytes(lambda: x.exp().exp().sum()) == 800
    assert saved_bytes(lambda: (x * x).sum()) == 400  # one storage, though it is saved twice
    assert saved_bytes(lambda: (x * x).sum(), known=[x]) == 0
    assert saved_bytes(lambda: (3 * x).sum()) == 0
    assert saved_bytes(lambda: x.double().exp().sum()) == 800


def test_views_count_their_storage_once() -> None:
    x = torch.rand(10, 10, requires_grad=True)
    halves = x * 1.0
    assert saved_bytes(lambda: (halves[:5] * halves[5:]).sum()) == 400


def test_a_smaller_support_needs_less() -> None:
    network = small(1, nodes=2)
    full = {kind: Softmax()(table.float(), Progress()) for kind, table in logits_of(network).items()}
    some = {kind: masked(mixing, 0.3) for kind, mixing in full.items()}
    images = torch.rand(2, 2, 8, 8)
    known = [images, *network.parameters(), *network.buffers()]
    whole, part = (saved_bytes(lambda m=m: network(images, m).sum(), known) for m in (full, some))  # type: ignore[misc]
    assert 0 < part < whole
    twice = saved_bytes(lambda: network(torch.cat([images, images]), full).sum(), known)
    assert 1.8 < twice / whole < 2.1  # it grows with the batch


def test_the_peak_is_what_is_alive_at_once() -> None:
    x = torch.rand(100)
    assert peak_bytes(lambda: x.exp()) == 400
    assert peak_bytes(lambda: x.exp().exp().exp()) == 800  # an argument and its result; the first is gone by then
    assert peak_bytes(lambda: (x.exp(), x.exp(), x.exp())) == 1200
    assert peak_bytes(lambda: x.view(10, 10).t().relu_()) == 0  # views and what is written in place are nothing new


def test_the_peak_of_a_backward_holds_what_was_saved() -> None:
    x = torch.rand(100, requires_grad=True)
    # two results of exp, both saved; sum; its gradient, expanded, and the product with the second result
    assert 1200 <= peak_bytes(lambda: torch.autograd.grad(x.exp().exp().sum(), x)) <= 1300
