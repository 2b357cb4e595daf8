"""Every exported form gives the network's scores, for any number of images, and says so only after trying."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from tests.network.networks import CASES, lived_in, metadata_of
from torch import nn

from archgrad.errors import InputError, RunError
from archgrad.network import exporting
from archgrad.network.exporting import check_standalone, export_onnx, export_program, inference_copy
from archgrad.network.image import ImageNetwork
from archgrad.network.standalone import write_standalone

CLASSES = ("a", "b", "ü")


@pytest.mark.parametrize("case", ["SNAS_AGGRESSIVE", "hard"])
def test_onnx_gives_the_scores_for_batches_it_was_not_made_with(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    network, shape = inference_copy(lived_in(case)), CASES[case][1]
    data, difference = export_onnx(network, shape, CLASSES)
    assert capfd.readouterr() == ("", "") and difference < 1e-5

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", *shape] and session.get_outputs()[0].shape == ["batch", 3]
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)
    images = torch.rand(7, *shape)
    (scores,) = session.run(["logits"], {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(scores), network(images), rtol=0, atol=1e-5)
    model = onnx.load_from_string(data)
    assert model.opset_import[0].version >= 18
    assert str(Path(__file__).parents[2]).encode() not in data and str(Path(torch.__file__).parent).encode() not in data


def test_a_program_gives_the_scores_for_batches_it_was_not_made_with(capfd: pytest.CaptureFixture[str]) -> None:
    network, shape = inference_copy(lived_in("hard")), CASES["hard"][1]
    data, difference = export_program(network, shape, CLASSES)
    assert capfd.readouterr() == ("", "") and difference < 1e-5

    files = {"classes.json": ""}
    program = torch.export.load(io.BytesIO(data), extra_files=files).module()
    images = torch.rand(7, *shape)
    torch.testing.assert_close(program(images), network(images), rtol=0, atol=1e-5)
    assert json.loads(files["classes.json"]) == list(CLASSES)
    assert str(Path(__file__).parents[2]).encode() not in data and str(Path(torch.__file__).parent).encode() not in data


def test_a_standalone_file_is_tried_in_a_fresh_interpreter(tmp_path: Path) -> None:
    network = inference_copy(lived_in("hard"))
    assert isinstance(network, ImageNetwork)
    path, _ = write_standalone(network, metadata_of(network, "hard"), tmp_path)
    assert check_standalone(path, network, CASES["hard"][1]) < 1e-5
    source = path.read_text(encoding="utf-8")
    path.write_text(source + "\nimport archgrad.network\n", encoding="utf-8")
    with pytest.raises(RunError, match="the standalone file imports archgrad"):
        check_standalone(path, network, CASES["hard"][1])


def test_a_copy_for_inference_leaves_the_network_as_it_was_and_drops_what_only_training_needs() -> None:
    network = lived_in("DARTS_V2", auxiliary=True).double().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    own = inference_copy(network)
    assert (
        not own.training and own.get_buffer("stem.mean").dtype == torch.float32 and own.blueprint["auxiliary"] is False
    )
    assert not [name for name in own.state_dict() if name.startswith("auxiliary")]
    own.get_parameter("classifier.weight").zero_()
    assert network.training and network.blueprint["auxiliary"] is True
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(
        inference_copy(network)(images).double(), network.eval()(images.double()), atol=1e-5, rtol=0
    )


def test_other_modules_are_refused() -> None:
    with pytest.raises(InputError, match="A Linear cannot be exported; give a run directory"):
        inference_copy(nn.Linear(2, 2))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_packages_for_onnx_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}.*pip install \"archgrad\[onnx\]\""):
        export_onnx(inference_copy(lived_in("one cell")), (3, 5, 6), CLASSES)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(3, 8, 8\); it has 1 input channels"):
        export_program(inference_copy(lived_in("DARTS_V2")), (3, 8, 8), CLASSES)


def test_a_network_that_gives_no_finite_scores_is_not_exported() -> None:
    network = inference_copy(lived_in("one cell"))
    network.get_parameter("classifier.bias")[1] = float("nan")
    with pytest.raises(RunError, match="scores that are not finite"):
        export_program(network, (3, 5, 6), CLASSES)


@pytest.mark.parametrize("wrong", [1.5e-5, float("nan")])
def test_an_export_that_differs_is_an_error(wrong: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = inference_copy(lived_in("one cell"))
    images, expected = exporting._reference(network, (3, 5, 6))
    largest = max(1.0, *(float(scores.abs().max()) for (scores,) in expected))
    with pytest.raises(RunError, match="differs from the network by"):
        exporting._difference("file", lambda batch: network(batch) + wrong * largest, images, expected)
    assert exporting._difference("file", lambda batch: network(batch) + 5e-6, images, expected) == pytest.approx(
        5e-6, 0.1
    )
    with pytest.raises(RunError, match=r"shape \(1, 2\) instead of \(1, 3\)"):
        exporting._difference("file", lambda batch: network(batch)[:, :2], images, expected)
