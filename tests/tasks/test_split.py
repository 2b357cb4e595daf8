"""Splits and the order of a stream: partitions, strata, determinism."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from archgrad.errors import InputError
from archgrad.tasks.split import Splits, generator, hold_out, seed_of, split_training, stratified

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=200).map(lambda labels: torch.tensor(labels))


@given(LABELS, st.data())
def test_stratified_partitions_and_gives_every_class_its_share_within_one(labels: Tensor, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(labels)))
    rest, taken = stratified(labels, count, generator("x"))
    assert len(taken) == count
    assert sorted([*rest.tolist(), *taken.tolist()]) == list(range(len(labels)))
    assert rest.tolist() == sorted(rest.tolist())
    for label in set(labels.tolist()):
        size = int((labels == label).sum())
        quota = Fraction(count * size, len(labels))
        assert abs(int((labels[taken] == label).sum()) - quota) <= 1


@given(LABELS)
def test_stratified_draws_anew_with_another_generator_and_repeats_with_the_same(labels: Tensor) -> None:
    once, again = (stratified(labels, len(labels) // 2, generator("a"))[1] for _ in range(2))
    assert torch.equal(once, again)
    many = torch.zeros(1000, dtype=torch.int64)
    assert not torch.equal(stratified(many, 500, generator("a"))[1], stratified(many, 500, generator("b"))[1])


def test_stratified_does_not_empty_a_class_while_others_can_give() -> None:
    labels = torch.tensor([0] * 18 + [1])
    for number in range(20):
        _, taken = stratified(labels, 5, generator(number))
        assert labels[taken].tolist() == [0] * 5


def test_hold_out_depends_on_the_labels_alone() -> None:
    labels = torch.arange(1000) % 10
    train, test = hold_out(labels)
    assert len(test) == 200
    assert torch.bincount(labels[test]).tolist() == [20] * 10
    torch.manual_seed(5)
    assert torch.equal(hold_out(labels)[0], train)


@given(LABELS, st.sampled_from([0.0, 0.1, 1 / 11, 0.5, 0.9]), st.integers(0, 3))
def test_training_parts_are_disjoint_and_cover(labels: Tensor, share: float, seed: int) -> None:
    try:
        parts = split_training(labels, seed=seed, choice_share=share)
    except InputError:
        assert len(labels) < 3 or share == 0.9
        return
    sets = {name: set(indices.tolist()) for name, indices in parts.items()}
    assert sets["train"] == set(range(len(labels)))
    assert len(sets["validation"]) == max(1, round(0.1 * len(labels)))
    assert not sets["validation"] & (sets["weights"] | sets["choices"])
    assert sets["validation"] | sets["weights"] | sets["choices"] == sets["train"]
    if share == 0:
        assert sets["weights"] == sets["choices"]
    else:
        assert not sets["weights"] & sets["choices"]
        assert len(sets["choices"]) == max(1, round(share * (len(labels) - len(sets["validation"]))))


def test_the_seed_changes_the_validation_part() -> None:
    labels = torch.arange(500) % 5
    first, same, other = (split_training(labels, seed=seed, choice_share=0.5)["validation"] for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="at least 0 and below 1"):
        split_training(torch.arange(100) % 2, seed=0, choice_share=share)


def test_too_few_examples_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="2 training examples are too few.*weights"):
        split_training(torch.tensor([0, 1]), seed=0, choice_share=0.5)


def test_seeds_do_not_depend_on_the_process() -> None:
    # hash() would, so the digest is taken of the key as it is written
    assert seed_of("a", 1) == int(hashlib.sha256(b"('a', 1)").hexdigest()[:16], 16) // 2


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_visits_each_example_at_most_once_and_all_but_a_remainder(size: int, batch: int, seed: int) -> None:
    part = torch.arange(100, 100 + size)
    splits = Splits({"weights": part}, seed, batch)
    steps = splits.steps("weights")
    assert steps == max(1, size // batch)
    for epoch in range(2):
        seen = torch.cat([splits.step("weights", epoch * steps + place) for place in range(steps)]).tolist()
        assert len(seen) == len(set(seen)) == steps * min(size, batch)
        assert set(seen) <= set(part.tolist())


def test_steps_can_be_asked_in_any_order_and_epochs_differ() -> None:
    splits = Splits({"weights": torch.arange(64)}, 0, 8)
    forward = [splits.step("weights", number).tolist() for number in range(24)]
    backward = [splits.step("weights", number).tolist() for number in reversed(range(24))]
    assert forward == backward[::-1]
    assert forward[:8] != forward[8:16]


@given(st.integers(1, 4), st.integers(1, 6), st.integers(4, 60))
def test_processes_share_every_step_evenly_and_completely(world: int, each: int, size: int) -> None:
    part = torch.arange(size)
    ranks = [Splits({"weights": part}, 1, world * each, rank, world) for rank in range(world)]
    for number in range(3):
        whole = ranks[0].step("weights", number)
        shares = [splits.share(splits.step("weights", number)) for splits in ranks]
        assert len({len(share) for share in shares}) == 1
        assert sorted(torch.cat(shares).tolist()) == sorted(whole.tolist())
        assert torch.equal(torch.stack(shares, 1).flatten(), whole)


@pytest.mark.parametrize(
    ("batch", "rank", "world", "words"),
    [(0, 0, 1, "at least one"), (6, 0, 4, "multiple of 4"), (4, 4, 4, "does not exist"), (16, 0, 16, "too few")],
)
def test_impossible_sharing_is_refused(batch: int, rank: int, world: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Splits({"weights": torch.arange(10)}, 0, batch, rank, world)


def test_an_unknown_part_shows_the_nearest() -> None:
    splits = Splits({"weights": torch.arange(4), "validation": torch.arange(4)}, 0, 2)
    with pytest.raises(InputError, match="'validation'"):
        splits.of("valid")
