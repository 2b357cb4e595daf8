"""A trained network in the forms that other programs run, each compared with the network before it is handed out.

Every form takes any number of images of one shape. What comes out is bytes or a difference: who calls decides where
files go, and nothing is written before it was found to be right.
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
from archgrad.network.heads import ForecastNetwork
from archgrad.network.image import ImageNetwork
from archgrad.runs.writing import write_atomically

__all__ = ["BATCHES", "TOLERANCE", "check_standalone", "export_onnx", "export_program", "inference_copy"]

BATCHES = (1, 2, 5)
"""Numbers of images that an exported network is compared on: a batch size that got frozen in would show."""

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
network, images = standalone.load(), standalone.read_safetensors(sys.argv[2])
with standalone.torch.no_grad():
    print(json.dumps([network(images[str(index)]).tolist() for index in range(len(images))]))
"""


def inference_copy(network: nn.Module, device: str | torch.device = "cpu") -> ImageNetwork:
    """Return the network as it is used: a copy in evaluation mode and float32, without its auxiliary head.

    Args:
        network: a network that :func:`archgrad.build` made; it is left as it is.
        device: where the copy lies.

    Raises:
        InputError: it is another module, or a forecaster.
    """
    if isinstance(network, ForecastNetwork):
        raise InputError(
            "This version trains, evaluates and asks forecasters, but exports networks for images alone. Read the "
            "network with archgrad.network.saved.load_network('RUN/model.safetensors') and use it as any torch module."
        )
    if not isinstance(network, ImageNetwork):
        raise InputError(
            f"A {type(network).__name__} cannot be exported; give a run directory, or a network made by archgrad.build."
        )
    own = copy.deepcopy(network)
    if own.auxiliary_layer >= 0:
        del own.auxiliary
        own.auxiliary_layer = -1
        own.blueprint = {**own.blueprint, "auxiliary": False}
    return own.to(device, torch.float32).eval().requires_grad_(False)


def export_onnx(network: ImageNetwork, input_shape: Sequence[int], classes: Sequence[str]) -> tuple[bytes, float]:
    """Return the network as an ONNX file, "images" [batch, C, H, W] -> "logits" [batch, classes].

    The file has passed ONNX's checker, and ONNX Runtime gave the network's outputs. The names of the classes are in its
    metadata under "classes", as JSON.

    Args:
        network: what :func:`inference_copy` returned, on the CPU.
        input_shape: (C, H, W) of one image.
        classes: their names.

    Returns:
        The file's bytes, and the largest difference of a score.

    Raises:
        InputError: the packages for ONNX are missing, or images of this shape do not fit the network.
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
    images, expected = _reference(network, input_shape)
    with torch.no_grad(), _torch_noise_off():
        program = cast(
            "torch.onnx.ONNXProgram",  # with dynamo=True it is never None
            torch.onnx.export(
                network,
                (images[1],),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=["images"],
                output_names=["logits"],
                verbose=False,
            ),
        )
    for node in program.model.graph:
        node.metadata_props.clear()  # torch writes stack traces there: paths of this machine
    program.model.metadata_props["classes"] = json.dumps(list(classes))
    data: bytes = program.model_proto.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    options = onnxruntime.SessionOptions()
    # ONNX Runtime pins its own choice of threads to cores otherwise, which fails with a message in some containers
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(batch: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"images": batch.numpy()})[0])

    return data, _difference("ONNX file", run, images, expected)


def export_program(network: ImageNetwork, input_shape: Sequence[int], classes: Sequence[str]) -> tuple[bytes, float]:
    """Return the network as a ``torch.export`` program, [batch, C, H, W] -> [batch, classes].

    ``torch.export.load(path).module()`` runs it; the names of the classes are in its extra file "classes.json".

    Args:
        network: what :func:`inference_copy` returned; the program runs on its device.
        input_shape: (C, H, W) of one image.
        classes: their names.

    Returns:
        The bytes of the .pt2 file, and the largest difference of a score.

    Raises:
        InputError: images of this shape do not fit the network.
        RunError: the program does not give the network's outputs.
    """
    images, expected = _reference(network, input_shape)
    with torch.no_grad():
        program = torch.export.export(network, (images[1],), dynamic_shapes=({0: torch.export.Dim("batch")},))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"classes.json": json.dumps(list(classes))})
        loaded = torch.export.load(io.BytesIO(file.getvalue())).module()
        return file.getvalue(), _difference("torch.export program", loaded, images, expected)


def check_standalone(path: Path, network: ImageNetwork, input_shape: Sequence[int]) -> float:
    """Run a standalone file in a fresh interpreter without archgrad and return the largest difference of a score.

    Args:
        path: the .py, with its .safetensors beside it.
        network: what :func:`inference_copy` returned, on the CPU.
        input_shape: (C, H, W) of one image.

    Raises:
        InputError: images of this shape do not fit the network.
        RunError: the file fails, or does not give the network's outputs.
    """
    from safetensors.torch import save

    images, expected = _reference(network, input_shape)
    with tempfile.TemporaryDirectory(prefix="archgrad-") as folder:
        inputs = Path(folder) / "images.safetensors"
        write_atomically(inputs, save({str(index): batch for index, batch in enumerate(images)}))
        threads = str(torch.get_num_threads())
        words = [sys.executable, "-I", "-B", "-c", _CHILD, str(path.absolute()), str(inputs), threads]
        child = subprocess.run(words, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    if child.returncode:
        last = child.stderr.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise RunError(f"The standalone file does not run in a fresh interpreter: {last[0]}")
    outputs = iter(json.loads(child.stdout.splitlines()[-1]))
    return _difference("standalone file", lambda _: torch.tensor(next(outputs)), images, expected)


def _reference(network: ImageNetwork, input_shape: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
    """Return batches of random images, the same ones every time, and the network's scores for them."""
    device = network.classifier.weight.device
    generator = torch.Generator().manual_seed(0)
    try:
        images = [torch.rand(batch, *input_shape, generator=generator).to(device) for batch in BATCHES]
        with torch.no_grad():
            expected = [network(batch) for batch in images]
    except RuntimeError as error:
        wanted, given = network.blueprint["in_channels"], tuple(input_shape)
        raise InputError(
            f"The network does not take images of the shape {given}; it has {wanted} input channels. ({error})"
        ) from error
    if not all(bool(scores.isfinite().all()) for scores in expected):
        raise RunError("The network itself gives scores that are not finite, so it was not exported. Train it again.")
    return images, expected


def _difference(what: str, run: Callable[[Tensor], Any], images: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest difference between what ``run`` gives and what is expected, if it is small enough."""
    largest = 0.0
    for batch, scores in zip(images, expected, strict=True):
        given = run(batch)
        if given.shape != scores.shape:
            raise RunError(f"The {what} gives scores of shape {tuple(given.shape)} instead of {tuple(scores.shape)}.")
        difference = (given - scores).abs().max().item()
        allowed = TOLERANCE * max(1.0, scores.abs().max().item())
        if not difference <= allowed:
            raise RunError(
                f"The {what} differs from the network by {difference:.2g}, and {allowed:.2g} is allowed; "
                "it was not written. Another form may work: --to onnx, torch or python."
            )
        largest = max(largest, difference)
    return largest


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
            yield
    finally:
        logger.removeFilter(is_news)
