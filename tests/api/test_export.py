"""``export`` puts whole, tried files in their place, or says what to do and leaves everything as it was."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tests.network.networks import lived_in, metadata_of

from archgrad.api.export import export
from archgrad.errors import InputError, RunError
from archgrad.network import exporting
from archgrad.network.saved import network_bytes
from archgrad.runs.config import resolve
from archgrad.runs.directory import RunDirectory


def trained(folder: Path, case: str = "DARTS_V2") -> RunDirectory:
    """Return a run with a trained network that has an auxiliary head."""
    run = RunDirectory.create(folder / "run", resolve({}))
    network = lived_in(case, auxiliary=True)
    run.write_bytes(run.model, network_bytes(network, metadata_of(network, case)))
    return run


def test_a_run_becomes_a_program_in_its_export_folder(tmp_path: Path) -> None:
    run = trained(tmp_path)
    result = export(run.path, to="torch")
    assert result.to == "torch" and result.paths == (run.path / "export" / "network.pt2",)
    assert result.max_difference < 1e-5
    program, images = torch.export.load(result.paths[0]).module(), torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(program(images), lived_in("DARTS_V2", auxiliary=True)(images), rtol=0, atol=1e-5)
    assert [path.name for path in result.paths[0].parent.iterdir()] == ["network.pt2"]
    assert result.to_dict() == {
        "to": "torch",
        "paths": [str(result.paths[0])],
        "max_difference": result.max_difference,
    }


def test_a_run_becomes_one_python_file_beside_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(tmp_path, "one cell")
    result = export(str(run.path), to="python", out=tmp_path / "out" / "my_net.py")
    assert [path.name for path in result.paths] == ["my_net.py", "my_net.safetensors"]
    assert set(result.paths) == set((tmp_path / "out").iterdir()) and result.max_difference < 1e-5
    monkeypatch.syspath_prepend(tmp_path / "out")
    module = __import__("my_net")
    del sys.modules["my_net"]
    images = torch.rand(3, 3, 5, 6)
    torch.testing.assert_close(module.load()(images), lived_in("one cell", auxiliary=True)(images), rtol=0, atol=1e-5)
    assert module.CLASSES == ("a", "b", "c") and module.INPUT_SHAPE == (3, 5, 6)
    assert not any(name.startswith("auxiliary") for name in module.load().state_dict())


@pytest.mark.parametrize("to", ["python", "torch"])
def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    network = lived_in("one cell")
    for name in ("network.py", "network.safetensors", "network.pt2"):
        (tmp_path / name).write_text("of before")
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(RunError, match="differs from the network by"):
        export(network, to=to, out=tmp_path, input_shape=(3, 5, 6))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"of before"} and len(list(tmp_path.iterdir())) == 3


def test_a_network_of_the_users_own_numbers_its_classes(tmp_path: Path) -> None:
    network = lived_in("one cell").train()
    result = export(network, to="python", out=tmp_path, input_shape=(3, 5, 6))
    assert "CLASSES = ('0', '1', '2')" in result.paths[0].read_text(encoding="utf-8") and network.training


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", resolve({}))
    with pytest.raises(InputError, match=r"no trained network yet. Train it first: archgrad train .*run$"):
        export(run.path, to="onnx")
    with pytest.raises(InputError, match=r"does not exist. Did you mean .*run\?"):
        export(tmp_path / "rum", to="onnx")
    with pytest.raises(InputError, match=r"input_shape=\(3, 32, 32\)"):
        export(lived_in("one cell"), to="onnx", out=tmp_path)
    with pytest.raises(InputError, match="out=FOLDER"):
        export(lived_in("one cell"), to="onnx", input_shape=(3, 5, 6))
    with pytest.raises(InputError, match="A ReLU cannot be exported"):
        export(torch.nn.ReLU(), to="onnx", out=tmp_path)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    run = trained(tmp_path, "one cell")
    with pytest.raises(InputError, match="Unknown export form 'onxx'. Did you mean 'onnx'"):
        export(run.path, to="onxx")
    with pytest.raises(InputError, match=r"name a folder, or a file that ends in \.onnx"):
        export(run.path, to="onnx", out=tmp_path / "net.pt2")
    with pytest.raises(InputError, match="'my-net' cannot be imported"):
        export(run.path, to="python", out=tmp_path / "my-net.py")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        export(run.path, to="torch", out=tmp_path / "file" / "net.pt2")
    run.model.write_bytes(run.model.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        export(run.path, to="torch")
    assert not (run.path / "export").exists()
