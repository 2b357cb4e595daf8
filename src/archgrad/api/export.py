"""``export``: a trained network as a file that runs without archgrad."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from archgrad.errors import InputError, unknown
from archgrad.network.exporting import check_standalone, export_onnx, export_program, inference_copy
from archgrad.network.faces import face_of
from archgrad.network.kinds import Network
from archgrad.network.saved import load_network
from archgrad.network.standalone import write_standalone
from archgrad.runs.directory import RunDirectory
from archgrad.runs.writing import write_atomically, writing
from archgrad.tasks.data import find_device

__all__ = ["SUFFIXES", "ExportResult", "export"]

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "python": ".py"}
"""What can be exported to, and how its file ends."""


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Args:
        paths: the files; for Python the .py and its .safetensors.
        max_difference: largest difference between an output of the export and one of the network, on random inputs.
        to: "onnx", "torch" or "python".
    """

    paths: tuple[Path, ...]
    max_difference: float
    to: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for ``--json``."""
        return {"to": self.to, "paths": [str(path) for path in self.paths], "max_difference": self.max_difference}


def export(
    run: str | Path | nn.Module,
    *,
    to: str,
    out: str | Path | None = None,
    device: str = "cpu",
    input_shape: Sequence[int] | None = None,
) -> ExportResult:
    """Write a trained network as a file that runs without archgrad, after comparing it with the network.

    Args:
        run: the directory of a run with a trained network, or a network made by :func:`archgrad.build`.
        to: "onnx", "torch" (a ``torch.export`` program) or "python" (one .py beside a .safetensors).
        out: a folder, or a file with the right ending; RUN/export if not given. Files that are there are replaced.
        device: where a ``torch.export`` program runs; the other two are not bound to a device.
        input_shape: (C, H, W) of one image, (T, F) of a window, (T,) of a text; only for a network
            that does not come from a run.

    Returns:
        The files and how far their scores are from the network's.

    Raises:
        InputError: an unknown form, no trained network, or something in it that this form cannot hold.
        RunError: the export differs from the network, or could not be written; files of before are intact.
    """
    if to not in SUFFIXES:
        raise unknown("export form", to, SUFFIXES)
    target = find_device(device if to == "torch" else "cpu")
    network, metadata, folder = _from_module(run, input_shape) if isinstance(run, nn.Module) else _from_run(run)
    if out is None and folder is None:
        raise InputError("Say where to write the network to: out=FOLDER.")
    path = _place(Path(out) if out is not None else Path(str(folder)), to)
    network = inference_copy(network, target)
    metadata = {**metadata, "blueprint": network.blueprint}
    with writing(path.parent, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
    if to == "python":
        return _export_python(network, metadata, path)
    form = export_onnx if to == "onnx" else export_program
    data, difference = form(network, metadata["input_shape"], metadata[face_of(network.blueprint).names])
    write_atomically(path, data)
    return ExportResult((path,), difference, to)


def _export_python(network: Network, metadata: Mapping[str, Any], path: Path) -> ExportResult:
    """Write the two files aside, try them there, then put both in their place."""
    with tempfile.TemporaryDirectory(prefix="archgrad-") as aside:
        source, weights = write_standalone(network, metadata, aside, path.stem)
        difference = check_standalone(source, network, metadata["input_shape"])
        paths = path, path.with_suffix(".safetensors")
        # the weights first: until the source is there too, an older source says that they belong to another network
        write_atomically(paths[1], weights.read_bytes())
        write_atomically(paths[0], source.read_bytes())
    return ExportResult(paths, difference, "python")


def _from_run(run: str | Path) -> tuple[nn.Module, dict[str, Any], Path]:
    """Return the trained network of a run, its metadata, and where its exports go."""
    directory = RunDirectory(run)
    if not directory.model.is_file():
        RunDirectory.open(run)
        raise InputError(f"The run {run} has no trained network yet. Train it first: archgrad train {run}")
    network, metadata = load_network(directory.model)
    return network, dict(metadata), directory.path / "export"


def _from_module(network: nn.Module, input_shape: Sequence[int] | None) -> tuple[nn.Module, dict[str, Any], None]:
    """Return a network that somebody built, and what a run would have noted about it."""
    blueprint = inference_copy(network).blueprint
    face = face_of(blueprint)
    example = face.shape(blueprint)
    shape = example.known if input_shape is None else tuple(input_shape)
    if shape is None or len(shape) != len(example.like):
        raise InputError(f"Say which {face.inputs[0]} the network takes {example.words}: input_shape={example.like}.")
    return network, {face.names: face.numbered(blueprint), "input_shape": list(shape)}, None


def _place(out: Path, to: str) -> Path:
    """Return the file to write: ``out`` itself if it ends like a file of this form, or one in the folder ``out``."""
    if out.suffix == SUFFIXES[to]:
        return out
    if out.suffix in SUFFIXES.values() or out.is_file():
        raise InputError(
            f"{out} is not where {to} can be written: name a folder, or a file that ends in {SUFFIXES[to]}."
        )
    return out / f"network{SUFFIXES[to]}"
