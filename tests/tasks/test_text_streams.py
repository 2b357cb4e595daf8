"""Streams of text go on where they ended, and a whole text is read exactly once."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad.errors import InputError
from archgrad.tasks.text import RawText
from archgrad.tasks.text_streams import TextData, read_once


def corpus(words: int = 203, **options: object) -> RawText:
    train = " ".join(f"w{number}" for number in range(words - 1))
    rest = {"name": "numbers", "fingerprint": "0", "window": 5, "vocabulary": 10_000} | options
    return RawText(train=train, validation="w1 w2 secret", test="w3 hidden", **rest)  # type: ignore[arg-type]


def opened(raw: RawText, **options: object) -> TextData:
    rest = {"name": "numbers", "seed": 3, "batch": 4, "choice_share": 0.0, "device": torch.device("cpu")} | options
    return TextData(raw, **rest)  # type: ignore[arg-type]


def test_rows_go_on_and_targets_are_the_next_tokens() -> None:
    data = opened(corpus())
    steps = data.steps("weights")
    assert (data.size("weights"), data.streams("weights"), steps) == (203, 4, 9)
    batches = list(islice(data.stream("weights"), 2 * steps))
    for epoch in (batches[:steps], batches[steps:]):
        x, y = (torch.cat(parts, dim=1) for parts in zip(*epoch, strict=True))
        assert x.shape == (4, 45)
        assert torch.equal(x[:, 1:], y[:, :-1])
        lengths = [data.tokens("weights").tolist().index(int(row[0])) for row in x]
        assert {length % 50 for length in lengths} == {lengths[0]} and lengths[0] <= 4
    again = list(islice(data.stream("weights", start=7), 5))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(again, batches[7:12], strict=True))


def test_no_word_of_another_part_is_in_the_vocabulary() -> None:
    data = opened(corpus())
    assert not {"secret", "hidden"} & set(data.vocabulary.tokens)
    assert data.tokens("validation").tolist()[2] == data.vocabulary.tokens.index("<unk>")


def test_choices_learn_from_the_later_part() -> None:
    data = opened(corpus(), choice_share=0.25)
    assert torch.equal(torch.cat([data.tokens("weights"), data.tokens("choices")]), data.tokens("train"))
    assert data.size("choices") == 51
    assert opened(corpus(), choice_share=0.0).size("choices") == 203


def test_frequencies_are_those_of_a_part_and_leave_no_token_impossible() -> None:
    scores = opened(corpus()).log_frequencies("train")
    assert scores.exp().sum().item() == pytest.approx(1) and bool(scores.isfinite().all())
    counts = {token: int(round(value)) for token, value in enumerate((scores.exp() * (203 + 204)).tolist())}
    assert counts[0] == 1 and counts[1] == 2 and set(counts.values()) == {1, 2}  # <unk> never, all others once


def test_processes_share_the_streams() -> None:
    whole = next(opened(corpus()).stream("train"))[0]
    parts = [next(opened(corpus(), rank=rank, world=2).stream("train"))[0] for rank in range(2)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), whole)


def test_short_texts_have_fewer_streams_and_shorter_windows() -> None:
    data = opened(corpus(words=8), batch=64)
    (x, y), *_ = islice(data.stream("train"), 2)
    assert x.shape == (1, 5) and data.steps("train") == 1
    short = opened(corpus(words=4), batch=64)
    assert next(short.stream("train"))[0].shape == (1, 3)
    with pytest.raises(InputError, match="too short: nothing is left for choices"):
        opened(corpus(words=3), choice_share=0.3)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 9))
def test_every_token_is_a_target_once_behind_the_one_before_it(length: int, streams: int, window: int) -> None:
    tokens = torch.arange(length)
    batches = list(read_once(tokens, -1, streams, window))
    assert sorted(torch.cat([y.flatten() for _, y in batches]).tolist()) == tokens.tolist()
    assert all(torch.equal(x, y - 1) for x, y in batches)
    for (_, before), (x, _) in zip(batches, batches[1:], strict=False):
        assert torch.equal(before[: len(x), -1], x[:, 0])
    assert all(x.shape[0] <= streams and x.shape[1] <= window for x, _ in batches)
