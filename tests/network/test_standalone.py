"""The standalone file computes what the network computes, where archgrad is not."""

from __future__ import annotations

import ast
import importlib.resources
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from tests.network.networks import CASES, lived_in, metadata_of
from torch import nn

from archgrad.errors import InputError
from archgrad.network.faces import ImageFace
from archgrad.network.modules import OPERATIONS
from archgrad.network.standalone import standalone_source, write_standalone

# Runs every standalone file of this folder; its path holds the standard library, torch and what torch requires.
CHILD = """
import sys
sys.path.append(sys.argv[1])
import importlib, importlib.util, json, pathlib
assert importlib.util.find_spec("archgrad") is None and importlib.util.find_spec("safetensors") is None
folder = pathlib.Path(sys.argv[2])
sys.path.append(str(folder))
import torch
outputs = {}
for path in sorted(folder.glob("*.py")):
    module = importlib.import_module(path.stem)
    network = module.load()
    images = module.read_safetensors(folder / "images.safetensors")[path.stem]
    assert not network.training and images.shape[1:] == module.INPUT_SHAPE
    with torch.no_grad():
        outputs[path.stem] = network(images).tolist()
assert not [name for name in sys.modules if name.partition(".")[0] in ("archgrad", "safetensors")]
print(json.dumps(outputs))
"""


def torch_alone(folder: Path) -> Path:
    """Fill a folder with links to torch and the packages that it says it requires, and nothing else."""
    waiting, seen = ["torch"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # a requirement of other platforms
            continue
        waiting += [
            re.split(r"[^\w.-]", line)[0].lower() for line in distribution.requires or [] if "extra ==" not in line
        ]
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def imported(path: Path) -> ModuleType:
    """Import a standalone file in this process."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_computes_the_same_in_an_interpreter_that_has_torch_alone(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    elsewhere = tmp_path / "elsewhere"
    images, expected = {}, {}
    for case, (_, shape, _) in CASES.items():
        network, name = lived_in(case), case.replace(" ", "_").lower()
        write_standalone(network, metadata_of(network, case), elsewhere, name)
        images[name] = torch.rand(3, *shape)
        with torch.no_grad():
            expected[name] = network(images[name])
    save_file(images, elsewhere / "images.safetensors")
    # -I: no environment variables, no user packages, not the current folder; -S: no site-packages, no .pth of an
    # editable install
    words = [sys.executable, "-I", "-S", "-c", CHILD, str(torch_alone(tmp_path / "packages")), str(elsewhere)]
    child = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    outputs = json.loads(child.stdout)
    assert set(outputs) == set(expected)
    for name, scores in expected.items():
        torch.testing.assert_close(torch.tensor(outputs[name]), scores, rtol=0, atol=1e-5, msg=name)


def test_every_definition_of_its_sources_is_in_it_once_and_as_it_was() -> None:
    network = lived_in("hard")
    tree = ast.parse(standalone_source(metadata_of(network, "hard")))
    definitions = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert max(Counter(node.name for node in definitions).values()) == 1
    written = {node.name: ast.dump(node) for node in definitions}
    for part in ImageFace().parts:
        source = importlib.resources.files("archgrad.network").joinpath(f"{part}.py").read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                assert written.pop(node.name) == ast.dump(node)
    assert list(written) == ["load"]


def test_imports_torch_and_the_standard_library_alone() -> None:
    network = lived_in("DARTS_V2")
    tree = ast.parse(standalone_source(metadata_of(network, "DARTS_V2")))
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in modules} <= {"torch", *sys.stdlib_module_names}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "__import__"} and "pickle" not in modules


@pytest.mark.parametrize(
    "label", ['"""', "a\nimport os\n", "\\", "{name}", "猫", "\udcff", "'", "\x00", 'ends with a quote"']
)
def test_names_of_classes_are_data_and_never_code(tmp_path: Path, label: str) -> None:
    network, classes = lived_in("one cell"), (label, "b", "c")
    path, _ = write_standalone(network, metadata_of(network, "one cell", classes), tmp_path)
    assert imported(path).CLASSES == classes


def test_its_first_lines_are_a_program_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = lived_in("DARTS_V2")
    path, _ = write_standalone(network, metadata_of(network, "DARTS_V2"), tmp_path, "my_net")
    monkeypatch.syspath_prepend(tmp_path)
    lines = str(imported(path).__doc__).splitlines()
    printed: list[list[str]] = []
    program = "\n".join(line[4:] for line in lines if line.startswith("    "))
    exec(program, {"print": printed.append})
    del sys.modules["my_net"]
    assert len(printed[0]) == 2 and set(printed[0]) <= {"a", "b", "c"}


def test_weights_that_are_cut_or_of_another_network_are_refused(tmp_path: Path) -> None:
    network, other = lived_in("DARTS_V2"), lived_in("one cell")
    source, weights = write_standalone(network, metadata_of(network, "DARTS_V2"), tmp_path)
    _, foreign = write_standalone(other, metadata_of(other, "one cell"), tmp_path, "other")
    load = imported(source).load
    with pytest.raises(ValueError, match=r"other\.safetensors belongs to another network"):
        load(foreign)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"network\.safetensors is truncated: tensor 'stem"):
        load()


def test_weights_in_channels_last_or_shared_are_written_as_they_are(tmp_path: Path) -> None:
    network = lived_in("DARTS_V2")
    weight = network.stem.convolution.weight
    weight.data = weight.data.expand(-1, 2, -1, -1).contiguous(memory_format=torch.channels_last)[:, :1]
    assert not weight.is_contiguous()
    network.classifier.bias = nn.Parameter(network.classifier.weight[:, 0])  # two names for one memory
    source, _ = write_standalone(network, metadata_of(network, "DARTS_V2"), tmp_path)
    read = imported(source).load().state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", ["mine", "sep_conv_3x3"])
def test_an_operation_of_the_users_own_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path) -> None:
    monkeypatch.setitem(OPERATIONS, name, lambda channels, stride, affine, pool_norm: nn.AvgPool2d(3, stride, 1))
    network = lived_in("DARTS_V2")
    network.blueprint["cells"]["normal"]["edges"][0][2] = name
    with pytest.raises(InputError, match=f"operation '{name}'.*--to torch or --to onnx"):
        write_standalone(network, metadata_of(network, "DARTS_V2"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["my-net", "class", "", "../up"])
def test_a_name_that_cannot_be_imported_is_refused(tmp_path: Path, name: str) -> None:
    network = lived_in("one cell")
    with pytest.raises(InputError, match="cannot be imported"):
        write_standalone(network, metadata_of(network, "one cell"), tmp_path, name)
