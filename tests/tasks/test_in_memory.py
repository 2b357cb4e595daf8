"""Images kept whole."""

from __future__ import annotations

from itertools import count, islice

import torch

from archgrad.tasks.in_memory import InMemory, Request


def test_requests_are_answered_in_order_by_copies() -> None:
    images = torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2)
    reader = InMemory(images, torch.device("cpu"))
    requests = [Request(torch.tensor([3, 1, 3]), ()), Request(torch.tensor([9]), ())]
    first, second = reader.read(requests)
    assert torch.equal(first, images[[3, 1, 3]])
    assert torch.equal(second, images[[9]])
    first.zero_()
    assert int(images[3].sum()) > 0
    assert (len(reader), reader.shape) == (10, (1, 2, 2))


def test_requests_may_be_endless() -> None:
    reader = InMemory(torch.arange(5.0).view(5, 1, 1, 1), torch.device("cpu"))
    endless = (Request(torch.tensor([number % 5]), ()) for number in count())
    assert [image.item() for image in islice(reader.read(endless), 7)] == [0, 1, 2, 3, 4, 0, 1]
