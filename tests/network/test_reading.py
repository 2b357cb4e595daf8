"""The reader of .safetensors reads what the safetensors package writes, and refuses everything else in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from archgrad.network.reading import read_safetensors

TENSORS = {
    "float32": torch.randn(3, 1, 2),
    "float64": torch.randn(2, dtype=torch.float64),
    "float16": torch.randn(5).half(),
    "bfloat16": torch.randn(3, 3).bfloat16(),
    "int64": torch.tensor(2**62 + 1),
    "int32": torch.arange(-3, 3, dtype=torch.int32),
    "int16": torch.arange(-3, 3, dtype=torch.int16),
    "int8": torch.arange(-3, 0, dtype=torch.int8),
    "uint8": torch.arange(255, 250, -1, dtype=torch.uint8),
    "bool": torch.tensor([[True, False], [False, False]]),
    "empty": torch.empty(0, 4),
    "ünïcode": torch.zeros(1),
}


def file_of(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_reads_every_type_as_the_package_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(TENSORS, {"archgrad": "{}"}))
    read = read_safetensors(path)
    assert set(read) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor), name
    read["float32"].zero_()  # what was read is the reader's own and may be written to
    assert torch.equal(read["float16"], TENSORS["float16"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=len(save(TENSORS)) - 1))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(save(TENSORS)[:cut])
    with pytest.raises(ValueError, match=r"cut\.safetensors is truncated"):
        read_safetensors(path)


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file_of(b"{not json"), "its header is no JSON"),
        (file_of(b"[" * 100_000), "its header is no JSON"),
        (file_of(b"\xff\xfe"), "its header is no JSON"),
        (file_of([1]), "no JSON object"),
        (file_of({"a": 3}), "the type None"),
        (file_of({"a": {**GOOD, "dtype": "F8_E4M3"}}, bytes(8)), "'F8_E4M3'; this reader knows BOOL, U8"),
        (file_of({"a": {**GOOD, "dtype": ["F32"]}}, bytes(8)), "the type"),
        (file_of({"a": {**GOOD, "shape": [-2]}}, bytes(8)), r"the shape \[-2\]"),
        (file_of({"a": {**GOOD, "shape": [2.0]}}, bytes(8)), "the shape"),
        (file_of({"a": {**GOOD, "shape": None}}, bytes(8)), "the shape None"),
        (file_of({"a": {**GOOD, "data_offsets": [0]}}, bytes(8)), r"the bytes \[0\]"),
        (file_of({"a": {**GOOD, "data_offsets": [8, 0]}}, bytes(8)), "needs 8 bytes and has -8"),
        (file_of({"a": {**GOOD, "shape": [2**40, 2**40]}}, bytes(8)), "needs 48357"),
        (file_of({"a": GOOD}, bytes(7)), "truncated: tensor 'a' ends at byte 8 of the tensors; 7 are there"),
        (file_of({"a": GOOD}, bytes(9)), "1 bytes belong to no tensor"),
        (file_of({"a": GOOD, "b": GOOD}, bytes(8)), "overlap or leave a gap"),
        (file_of({"a": {**GOOD, "data_offsets": [4, 12]}}, bytes(12)), "leave a gap at byte 0"),
    ],
)
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_safetensors(path)
