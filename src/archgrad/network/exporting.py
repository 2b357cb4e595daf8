"""A trained network in the forms that other programs run, each compared with the network before it is handed out.

Every form takes any number of images of one shape, of windows of one length, or of tokens with the states before them.
What comes out is bytes or a difference: who calls decides where files go, and nothing is written before it was found to
be right.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from archgrad.errors import InputError, RunError
from archgrad.network.faces import face_of
from archgrad.network.kinds import Network, kind_of
from archgrad.runs.writing import write_atomically

__all__ = ["BATCHES", "TOLERANCE", "check_standalone", "export_onnx", "export_program", "inference_copy"]

BATCHES = (1, 2, 5)
"""Numbers of examples that an exported network is compared on: a batch size that got frozen in would show."""

Tensors = tuple[Tensor, ...]

TOLERANCE = 1e-5
"""Largest difference of a score, relative to the largest score where that is above 1."""

# Run by an interpreter that ignores the environment and the user's packages (-I) and cannot import archgrad.
_CHILD = """
import importlib.util, json, sys

class NoArchgrad:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "archgrad":
            raise ModuleNotFoundError(f"the standalone file imports {name}")

sys.meta_path.insert(0, NoArchgrad())
spec = importlib.util.spec_from_file_location("standalone", sys.argv[1])
standalone = importlib.util.module_from_spec(spec)
spec.loader.exec_module(standalone)
standalone.torch.set_num_threads(int(sys.argv[3]))
network, inputs = standalone.load(), standalone.read_safetensors(sys.argv[2])
count, found = 1 + max(int(name.split(".")[1]) for name in inputs), []
with standalone.torch.no_grad():
    for index in range(len(inputs) // count):
        given = network(*(inputs[f"{index}.{place}"] for place in range(count)))
        found.append([given.tolist()] if hasattr(given, "tolist") else [each.tolist() for each in given])
print(json.dumps(found))
"""


def inference_copy(network: nn.Module, device: str | torch.device = "cpu") -> Network:
    """Return the network as it is used: a copy in evaluation mode and float32, without its auxiliary head.

    Args:
        network: a network that :func:`archgrad.build` made; it is left as it is.
        device: where the copy lies.

    Raises:
        InputError: it is another module.
    """
    if not isinstance(network, Network):
        raise InputError(
            f"A {type(network).__name__} cannot be exported; give a run directory, or a network made by archgrad.build."
        )
    own = copy.deepcopy(network)
    kind_of(own.blueprint).strip(own)
    return own.to(device, torch.float32).eval().requires_grad_(False)


def export_onnx(network: Network, input_shape: Sequence[int], names: Sequence[str]) -> tuple[bytes, float]:
    """Return the network as an ONNX file, such as "images" [batch, C, H, W] -> "logits" [batch, classes].

    The file has passed ONNX's checker, and ONNX Runtime gave the network's outputs. The names of classes, series or
    tokens are in its metadata, as JSON, see :mod:`archgrad.network.faces`.

    Args:
        network: what :func:`inference_copy` returned, on the CPU.
        input_shape: (C, H, W) of one image, (T, F) of a window, (T,) of a text.
        names: of the classes, of the series, or of the tokens.

    Returns:
        The file's bytes, and the largest difference of a score.

    Raises:
        InputError: the packages for ONNX are missing, or inputs of this shape do not fit the network.
        RunError: the file does not give the network's outputs.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it and would fail later, with a longer word
    except ImportError as error:
        raise InputError(
            f"Exporting to ONNX needs packages that are not installed ({error}). Install them: "
            'pip install "archgrad[onnx]". Or export with --to torch or --to python.'
        ) from error
    examples, expected = _reference(network, input_shape)
    face = face_of(network.blueprint)
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in face.inputs)
    with torch.no_grad(), _torch_noise_off():
        program = cast(
            "torch.onnx.ONNXProgram",  # with dynamo=True it is never None
            torch.onnx.export(
                face.program(network),
                examples[1],
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=list(face.inputs),
                output_names=list(face.outputs),
                verbose=False,
            ),
        )
    for node in program.model.graph:
        node.metadata_props.clear()  # torch writes stack traces there: paths of this machine
    for key, value in face.notes(network.blueprint, names).items():
        program.model.metadata_props[key] = json.dumps(value)
    data: bytes = program.model_proto.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    options = onnxruntime.SessionOptions()
    # ONNX Runtime pins its own choice of threads to cores otherwise, which fails with a message in some containers
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(*batch: Tensor) -> list[Tensor]:
        given = {name: tensor.numpy() for name, tensor in zip(face.inputs, batch, strict=True)}
        return [torch.from_numpy(output) for output in session.run(list(face.outputs), given)]

    return data, _difference("ONNX file", run, examples, expected, face.unit(network.blueprint))


def export_program(network: Network, input_shape: Sequence[int], names: Sequence[str]) -> tuple[bytes, float]:
    """Return the network as a ``torch.export`` program, such as [batch, C, H, W] -> [batch, classes].

    ``torch.export.load(path).module()`` runs it; the names of classes or series are in extra files such as
    "classes.json".

    Args:
        network: what :func:`inference_copy` returned; the program runs on its device.
        input_shape: (C, H, W) of one image, (T, F) of a window, (T,) of a text.
        names: of the classes, of the series, or of the tokens.

    Returns:
        The bytes of the .pt2 file, and the largest difference of a score.

    Raises:
        InputError: inputs of this shape do not fit the network.
        RunError: the program does not give the network's outputs.
    """
    examples, expected = _reference(network, input_shape)
    face = face_of(network.blueprint)
    notes = face.notes(network.blueprint, names)
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in face.inputs)
    with torch.no_grad():
        program = torch.export.export(face.program(network), examples[1], dynamic_shapes=shapes)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={f"{key}.json": json.dumps(value) for key, value in notes.items()})
        loaded = torch.export.load(io.BytesIO(file.getvalue())).module()
        return file.getvalue(), _difference(
            "torch.export program", loaded, examples, expected, face.unit(network.blueprint)
        )


def check_standalone(path: Path, network: Network, input_shape: Sequence[int]) -> float:
    """Run a standalone file in a fresh interpreter without archgrad and return the largest difference of a score.

    Args:
        path: the .py, with its .safetensors beside it.
        network: what :func:`inference_copy` returned, on the CPU.
        input_shape: (C, H, W) of one image, (T, F) of a window.

    Raises:
        InputError: inputs of this shape do not fit the network.
        RunError: the file fails, or does not give the network's outputs.
    """
    from safetensors.torch import save

    examples, expected = _reference(network, input_shape, whole=True)
    with tempfile.TemporaryDirectory(prefix="archgrad-") as folder:
        inputs = Path(folder) / "images.safetensors"
        named = {f"{i}.{j}": tensor for i, batch in enumerate(examples) for j, tensor in enumerate(batch)}
        write_atomically(inputs, save({name: tensor.contiguous() for name, tensor in named.items()}))
        threads = str(torch.get_num_threads())
        words = [sys.executable, "-I", "-B", "-c", _CHILD, str(path.absolute()), str(inputs), threads]
        child = subprocess.run(words, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    if child.returncode:
        last = child.stderr.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise RunError(f"The standalone file does not run in a fresh interpreter: {last[0]}")
    unit = face_of(network.blueprint).unit(network.blueprint)
    outputs = iter(json.loads(child.stdout.splitlines()[-1]))

    def run(*_: Tensor) -> list[Tensor]:
        return [torch.tensor(output) for output in next(outputs)]

    return _difference("standalone file", run, examples, expected, unit)


def _reference(
    network: Network, input_shape: Sequence[int], whole: bool = False
) -> tuple[list[Tensors], list[Tensors]]:
    """Return batches of random examples, the same ones every time, and the network's outputs for them.

    Args:
        network: what is exported.
        input_shape: of one example.
        whole: whether the network itself is asked, not what programs keep of it.
    """
    device, face = next(network.parameters()).device, face_of(network.blueprint)
    generator = torch.Generator().manual_seed(0)
    try:
        examples = [face.example(network.blueprint, input_shape, batch, generator) for batch in BATCHES]
        examples = [tuple(t.to(device) for t in (face.unfolded(each) if whole else each)) for each in examples]
        asked = network if whole else face.program(network)
        with torch.no_grad():
            expected = [_tensors(asked(*batch)) for batch in examples]
    except RuntimeError as error:
        raise InputError(
            f"The network does not take {face.inputs[0]} of the shape {tuple(input_shape)}; it "
            f"{face.takes(network.blueprint)}. ({error})"
        ) from error
    if not all(bool(output.isfinite().all()) for outputs in expected for output in outputs):
        raise RunError("The network itself gives scores that are not finite, so it was not exported. Train it again.")
    return examples, expected


def _difference(
    what: str,
    run: Callable[..., Any],
    examples: list[Tensors],
    expected: list[Tensors],
    unit: Tensor | None = None,
) -> float:
    """Return the largest difference, in units, between what ``run`` gives and what is expected, if it is small."""
    largest = 0.0
    pairs = [
        pair
        for batch, outputs in zip(examples, expected, strict=True)
        for pair in zip(_tensors(run(*batch)), outputs, strict=True)
    ]
    for given, scores in pairs:
        if given.shape != scores.shape:
            raise RunError(f"The {what} gives scores of shape {tuple(given.shape)} instead of {tuple(scores.shape)}.")
        scale = torch.ones_like(scores) if unit is None else unit.to(scores)
        difference = ((given - scores) / scale).abs().max().item()
        allowed = TOLERANCE * max(1.0, (scores / scale).abs().max().item())
        if not difference <= allowed:
            raise RunError(
                f"The {what} differs from the network by {difference:.2g}, and {allowed:.2g} is allowed; "
                "it was not written. Another form may work: --to onnx, torch or python."
            )
        largest = max(largest, difference)
    return largest


def _tensors(output: Any) -> Tensors:
    """Return outputs as a tuple, also where there is one alone."""
    return (output,) if isinstance(output, Tensor) else tuple(output)


@contextmanager
def _torch_noise_off() -> Iterator[None]:
    """Keep back two messages of torch's ONNX exporter that say nothing about the user's network."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")

    def is_news(record: logging.LogRecord) -> bool:
        # It says four times that it skips operations of torchvision, which archgrad does without.
        return "torchvision is not installed" not in record.msg

    logger.addFilter(is_news)
    try:
        with warnings.catch_warnings():
            # torch copies its own tree of the arguments, and that copy trips over torch's own deprecation.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            # Inputs that share their batch are told once for each that the name is taken.
            warnings.filterwarnings("ignore", r"# The axis name: batch will not be used", UserWarning)
            yield
    finally:
        logger.removeFilter(is_news)
