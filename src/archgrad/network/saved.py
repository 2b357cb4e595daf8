"""model.safetensors: a trained network and, in the file's header, all that rebuilds it. Nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from archgrad.errors import InputError
from archgrad.network.kinds import KINDS, Network, kind_of

__all__ = ["KEY", "load_network", "network_bytes"]

KEY = "archgrad"
"""The one key of the header's metadata; its value is JSON."""


def network_bytes(network: Network, metadata: Mapping[str, Any]) -> bytes:
    """Return a network as a safetensors file; equal networks and metadata give equal bytes.

    Args:
        network: on any device.
        metadata: plain data about it; ``blueprint`` is added.
    """
    header = {KEY: json.dumps({"blueprint": network.blueprint, **metadata}, allow_nan=False)}
    # channels-last weights are laid out as the file format wants them
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return tensors_to_bytes(tensors, header)


def load_network(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """Read a file that :func:`network_bytes` made.

    Args:
        path: the file.

    Returns:
        The network, on the CPU in eval mode, and its metadata: ``blueprint``, ``task``, ``input_shape``, ``classes``
        or ``series``, and where it was trained.

    Raises:
        InputError: the file is missing, truncated, damaged, or not of archgrad's making.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"The trained network {path} cannot be read: {error.strerror or error}.") from error
    try:
        tensors = tensors_from_bytes(data)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error}). Train the network again.") from error
    metadata = _metadata(data, path)
    try:
        # without memory of its own until the sizes are known to be those of the tensors in the file
        with torch.device("meta"):
            network = kind_of(metadata["blueprint"]).build(metadata["blueprint"])
        network.load_state_dict(tensors, assign=True)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"The network in {path} cannot be built from its own description: {str(error).splitlines()[0]}. If it has "
            "operations of your own, load them with --plugin; else the file is damaged."
        ) from error
    return network.eval(), metadata


def _metadata(data: bytes, path: str | Path) -> dict[str, Any]:
    """Return what the header says about the network; the file is known to be whole."""
    length = int.from_bytes(data[:8], "little")
    try:
        metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} was not written by archgrad: it holds tensors, but not what network they belong to."
        ) from error
    complete = isinstance(metadata, dict) and isinstance(metadata.get("blueprint"), dict)
    kind = KINDS.get(str(metadata["blueprint"].get("kind", "image"))) if complete else None
    if kind is None or not all(_are(entry, metadata.get(name)) for name, entry in kind.noted.items()):
        raise InputError(
            f"{path} is damaged: its header lacks the blueprint, the names of classes, series or tokens, or the "
            "input's shape."
        )
    found: dict[str, Any] = metadata
    return found


def _are(kind: type, values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(type(value) is kind for value in values)
