"""A saved network comes back as it was; anything else in its place is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from tests.network.networks import CASES, lived_in, metadata_of

from archgrad.errors import InputError
from archgrad.network.saved import KEY, load_network, network_bytes


@pytest.mark.parametrize("case", ["DARTS_V2", "hard"])
def test_a_network_comes_back_bit_for_bit(case: str, tmp_path: Path) -> None:
    network = lived_in(case)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    metadata = {**metadata_of(network, case), "seed": 3}
    (tmp_path / "model.safetensors").write_bytes(network_bytes(network, metadata))
    loaded, about = load_network(tmp_path / "model.safetensors")
    assert about == json.loads(json.dumps(metadata))
    assert not loaded.training
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in network.named_parameters()]
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    images = torch.rand(3, *CASES[case][1])
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), network(images), rtol=1e-5, atol=1e-5)
    loaded.train()(images).sum().backward()


def test_equal_networks_give_equal_bytes() -> None:
    network = lived_in("DARTS_V2")
    metadata = metadata_of(network, "DARTS_V2")
    assert network_bytes(network, metadata) == network_bytes(copy.deepcopy(network), metadata)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_named(length: int, tmp_path: Path) -> None:
    network = lived_in("one cell")
    path = tmp_path / "model.safetensors"
    path.write_bytes(network_bytes(network, metadata_of(network, "one cell"))[:length])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged or no safetensors file"):
        load_network(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere cannot be read: No such file"):
        load_network(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_network(tmp_path)


def _changed(metadata: dict[str, Any], **changes: Any) -> dict[str, str]:
    return {KEY: json.dumps({**metadata, **changes})}


def test_a_foreign_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    network, path = lived_in("one cell"), tmp_path / "model.safetensors"
    metadata, tensors = metadata_of(network, "one cell"), dict(network.state_dict())
    few = {name: tensor for name, tensor in tensors.items() if "stem" not in name}
    attempts: list[tuple[dict[str, torch.Tensor], dict[str, str] | None, str]] = [
        (tensors, None, "was not written by archgrad"),
        (tensors, {"format": "pt"}, "was not written by archgrad"),
        (tensors, {KEY: "{"}, "was not written by archgrad"),
        (tensors, {KEY: "[]"}, "its header lacks"),
        (tensors, _changed(metadata, classes=[]), "its header lacks"),
        (tensors, _changed(metadata, input_shape="3x8x8"), "its header lacks"),
        (tensors, _changed(metadata, blueprint={}), "cannot be built from its own description"),
        (few, _changed(metadata), "cannot be built from its own description"),
        (tensors, _changed(metadata, blueprint={**network.blueprint, "classes": 10**9}), "cannot be built"),
        (tensors, _changed(metadata, blueprint={**network.blueprint, "cells": {"normal": 3}}), "cannot be built"),
    ]
    for given, header, message in attempts:
        path.write_bytes(save(given, header))
        with pytest.raises(InputError, match=message):
            load_network(path)
