from __future__ import annotations

import json
import math
from collections import OrderedDict
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archgrad.runs.tree import join, split

keys = st.text(max_size=6) | st.sampled_from(["$tensor", "$dict", "$tuple", "$float"]) | st.integers() | st.booleans()
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def _through_json(tree: Any) -> Any:
    data, tensors = split(tree)
    return join(json.loads(json.dumps(data, allow_nan=False)), tensors)


@given(trees)
def test_plain_trees_come_back_with_types_and_order(tree: Any) -> None:
    # repr tells 1 from True and 1.0, a list from a tuple, -0.0 from 0.0, nan from nothing, and the order of keys.
    assert repr(_through_json(tree)) == repr(tree)


def test_a_tensor_in_two_places_is_kept_once_and_shared_again() -> None:
    tied = torch.randn(3, 4)
    data, tensors = split({"encoder": tied, "decoder": tied.view(3, 4), "transposed": tied.t(), "slice": tied[:2]})
    assert len(tensors) == 3
    tree = join(data, tensors)
    assert tree["encoder"] is tree["decoder"]
    assert torch.equal(tree["transposed"], tied.t())
    assert torch.equal(tree["slice"], tied[:2])


def test_tensors_that_only_overlap_do_not_share_memory() -> None:
    whole = torch.arange(12.0)
    _, tensors = split([whole, whole[:6], whole[6:], whole.view(3, 4)])
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors.values()}) == 4


def test_places_that_print_alike_keep_their_own_tensor() -> None:
    tree = {"a": {1: torch.tensor(1), "1": torch.tensor(2)}, "a.1": torch.tensor(3)}
    back = _through_json(tree)
    assert [back["a"][1].item(), back["a"]["1"].item(), back["a.1"].item()] == [1, 2, 3]


def test_an_ordered_dict_and_a_parameter_become_their_plain_kinds() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    back = _through_json(OrderedDict(weight=parameter))
    assert type(back) is dict
    assert type(back["weight"]) is torch.Tensor
    assert not back["weight"].requires_grad


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, r"state\.engine\.0, which is a set"),
        (torch.zeros(2, dtype=torch.complex128), r"state\.engine\.0: safetensors has no torch\.complex128"),
        (torch.empty(2, device="meta"), r"state\.engine\.0: only dense"),
        (torch.eye(2).to_sparse(), r"state\.engine\.0: only dense"),
        (lambda: None, r"which is a function"),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        split({"engine": [value]})


@pytest.mark.parametrize(
    "data", [{"$tensor": "gone"}, {"$float": "1.0"}, {"$tuple": 3}, {"$dict": [1]}, {"$call": "os.system"}]
)
def test_data_that_was_never_written_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"is not (there|known)"):
        join(data, {})


def test_not_a_number_is_kept() -> None:
    assert math.isnan(_through_json(math.nan))
