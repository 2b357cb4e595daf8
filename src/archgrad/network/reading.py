"""Reading a .safetensors file with json and torch alone; the standalone export copies this file.

The format: eight bytes with the length of a JSON header, the header, then the tensors' bytes one after another
(https://huggingface.co/docs/safetensors). Everything is checked before a tensor is made of it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["read_safetensors"]

_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Return every tensor of a .safetensors file by its name, on the CPU.

    Args:
        path: the file.

    Raises:
        ValueError: the file is truncated or is not in the safetensors format; the message says what is wrong.
        OSError: it cannot be read.
    """
    data = memoryview(Path(path).read_bytes())
    if len(data) < 8:
        raise ValueError(f"{path} is truncated or no safetensors file: it has {len(data)} bytes.")
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError(
            f"{path} is truncated or no safetensors file: its header should take {length} bytes, "
            f"and {len(data) - 8} are there."
        )
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: its header is no JSON.") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} is damaged or no safetensors file: its header is no JSON object.")
    body, tensors, spans = data[8 + length :], {}, []
    for name, entry in header.items():
        if name != "__metadata__":
            dtype, shape, start, end = _entry(entry, name, path)
            if end > len(body):
                raise ValueError(
                    f"{path} is truncated: tensor '{name}' ends at byte {end} of the tensors; {len(body)} are there."
                )
            spans.append((start, end))
            # a buffer of its own: frombuffer wants one that is aligned and may be written to, and refuses an empty one
            own = bytearray(body[start:end])
            tensors[name] = (torch.frombuffer(own, dtype=dtype) if own else torch.empty(0, dtype=dtype)).reshape(shape)
    reached = 0
    for start, end in sorted(spans):
        if start != reached:
            raise ValueError(f"{path} is damaged: its tensors overlap or leave a gap at byte {reached} of the tensors.")
        reached = end
    if reached != len(body):
        raise ValueError(f"{path} is damaged: {len(body) - reached} bytes belong to no tensor.")
    return tensors


def _entry(entry: Any, name: str, path: str | Path) -> tuple[torch.dtype, list[int], int, int]:
    """Return type, shape, first byte and end of one tensor of the header, after checking that they belong together."""
    plain: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype: Any = plain.get("dtype")
    shape: Any = plain.get("shape")
    offsets: Any = plain.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"{path}: tensor '{name}' has the type {dtype!r}; this reader knows {', '.join(_DTYPES)}.")
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [-1]
    if any(type(number) is not int or number < 0 for number in numbers) or len(offsets) != 2:
        raise ValueError(f"{path} is damaged: tensor '{name}' has the shape {shape!r} and the bytes {offsets!r}.")
    needed = math.prod(shape) * _DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != needed:
        raise ValueError(
            f"{path} is damaged: tensor '{name}' needs {needed} bytes and has {offsets[1] - offsets[0]} of them."
        )
    return _DTYPES[dtype], shape, offsets[0], offsets[1]
