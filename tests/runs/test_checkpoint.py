from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from archgrad.errors import RunError
from archgrad.runs import checkpoint
from archgrad.runs.checkpoint import epoch_name, load, load_light, load_newest, names, prune, save

DTYPES = [
    *(torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.bool, torch.int64, torch.int8),
    *(torch.uint8, torch.complex64),
]


def _bits(tensor: Tensor) -> list[int]:
    dense = tensor.contiguous().reshape(-1)
    return dense.view(torch.uint8).tolist() if dense.numel() else []


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Any bits at all, in any kind of tensor: 0-dimensional, empty, transposed, a slice of another."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = int(torch.tensor(shape, dtype=torch.int64).prod()) if shape else 1
    size = count * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype is torch.bool:
        data = bytes(byte & 1 for byte in data)
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if size else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(shape)
    shapes = [lambda t: t, lambda t: t.transpose(0, -1) if t.ndim else t, lambda t: t[1:] if t.ndim else t]
    view: Tensor = draw(st.sampled_from(shapes))(tensor)
    return view


@given(st.lists(tensors(), max_size=4))
def test_tensors_come_back_bit_for_bit(given_tensors: list[Tensor]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = load(save(Path(folder), "epoch-0001", {"tensors": given_tensors}))["tensors"]
    for before, after in zip(given_tensors, back, strict=True):
        assert (before.dtype, before.shape, _bits(before)) == (after.dtype, after.shape, _bits(after))


def _trained(steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.Generator]:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(7)
    _train(network, optimiser, generator, steps)
    return network, optimiser, generator


def _train(network: torch.nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        network(torch.randn(8, 4, generator=generator)).square().mean().backward()
        optimiser.step()


def test_training_goes_on_from_a_checkpoint_as_if_never_interrupted(tmp_path: Path) -> None:
    network, optimiser, generator = _trained(5)
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),  # keyed by numbers
        "generator": generator.get_state(),
    }
    save(tmp_path, epoch_name(5), state)
    _train(network, optimiser, generator, 5)
    torch.manual_seed(99)
    again, fresh_optimiser, fresh_generator = _trained(1)
    name, tree, skipped = load_newest(tmp_path)
    assert (name, skipped) == ("epoch-0005", [])
    again.load_state_dict(tree["network"])
    fresh_optimiser.load_state_dict(tree["optimiser"])
    fresh_generator.set_state(tree["generator"])
    _train(again, fresh_optimiser, fresh_generator, 5)
    for before, after in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(before, after)


def _some(parent: Path, epochs: int = 3) -> None:
    for epoch in range(1, epochs + 1):
        light = {"choices": torch.full((2,), float(epoch)), "space": {"name": "darts", "edges": [(0, 2)]}}
        save(parent, epoch_name(epoch), {"epoch": epoch, "weights": torch.full((64,), float(epoch))}, light)


def test_the_files_are_those_of_the_contract_and_open_to_other_tools(tmp_path: Path) -> None:
    _some(tmp_path, 1)
    folder = tmp_path / "epoch-0001"
    files = ["choices.safetensors", "manifest.json", "state.json", "state.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == files
    assert load_file(folder / "state.safetensors")["state.weights"].tolist() == [1.0] * 64
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {name: entry["size"] for name, entry in manifest["files"].items()} == {
        name: (folder / name).stat().st_size for name in files if name != "manifest.json"
    }


@pytest.mark.parametrize("file", ["state.json", "state.safetensors", "manifest.json"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named_and_the_checkpoint_before_is_used(tmp_path: Path, file: str, part: float) -> None:
    _some(tmp_path)
    damaged = tmp_path / "epoch-0003" / file
    data = damaged.read_bytes()
    damaged.write_bytes(data[: int(len(data) * part)])
    name, tree, skipped = load_newest(tmp_path)
    assert (name, tree["epoch"]) == ("epoch-0002", 2)
    assert len(skipped) == 1
    assert "epoch-0003" in skipped[0]
    assert file in skipped[0]


@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
def test_truncation_is_noticed_at_every_byte(tmp_path: Path, file: str) -> None:
    save(tmp_path, "epoch-0001", {"weights": torch.ones(2)})
    damaged = tmp_path / "epoch-0001" / file
    data = damaged.read_bytes()
    for length in range(len(data)):
        damaged.write_bytes(data[:length])
        with pytest.raises(RunError, match=f"{file} has {length} bytes instead of {len(data)}"):
            load(tmp_path / "epoch-0001")


def test_a_manifest_truncated_at_any_byte_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, "epoch-0001", {"weights": torch.ones(2)})
    damaged = tmp_path / "epoch-0001" / "manifest.json"
    data = damaged.read_bytes()
    for length in range(len(data)):
        damaged.write_bytes(data[:length])
        with pytest.raises(RunError, match=r"manifest\.json is truncated"):
            load(tmp_path / "epoch-0001")


@pytest.mark.parametrize("file", ["state.json", "state.safetensors", "manifest.json"])
def test_a_flipped_bit_never_gives_another_state(tmp_path: Path, file: str) -> None:
    expected = {"epoch": 3, "rate": 0.025, "weights": torch.arange(4.0)}
    save(tmp_path, "epoch-0001", expected)
    damaged = tmp_path / "epoch-0001" / file
    data = damaged.read_bytes()
    for place in range(0, len(data), 3):
        damaged.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            tree = load(tmp_path / "epoch-0001")
        except RunError:
            continue
        assert file == "manifest.json"  # such as its version, which decides nothing
        assert (tree["epoch"], tree["rate"], tree["weights"].tolist()) == (3, 0.025, [0, 1, 2, 3])


@pytest.mark.parametrize("file", ["state.json", "state.safetensors", "manifest.json"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    _some(tmp_path, 1)
    (tmp_path / "epoch-0001" / file).unlink()
    with pytest.raises(RunError, match=f"epoch-0001 is damaged: {file} is missing"):
        load(tmp_path / "epoch-0001")


def test_when_none_is_left_every_damaged_one_is_named(tmp_path: Path) -> None:
    _some(tmp_path, 4)
    prune(tmp_path, keep=2)
    for epoch in (3, 4):
        (tmp_path / epoch_name(epoch) / "state.safetensors").write_bytes(b"")
    with pytest.raises(RunError) as caught:
        load_newest(tmp_path)
    message = str(caught.value)
    assert "epoch-0003" in message
    assert "epoch-0004" in message
    assert "2 older ones only the choices were kept" in message
    with pytest.raises(RunError, match="no checkpoint in .* yet"):
        load_newest(tmp_path / "nowhere")


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    _some(tmp_path, 1)
    file = tmp_path / "epoch-0001" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    with pytest.raises(RunError, match="has format 2, and this archgrad reads format 1"):
        load(tmp_path / "epoch-0001")


def test_pruning_keeps_the_light_part_of_all_and_the_newest_whole(tmp_path: Path) -> None:
    _some(tmp_path, 4)
    prune(tmp_path, keep=2)
    prune(tmp_path, keep=2)
    heavy = [epoch for epoch in range(1, 5) if (tmp_path / epoch_name(epoch) / "state.safetensors").exists()]
    assert heavy == [3, 4]
    for epoch in range(1, 5):
        light = load_light(tmp_path / epoch_name(epoch))
        assert light["choices"].tolist() == [epoch, epoch]
        assert light["space"] == {"name": "darts", "edges": [(0, 2)]}
    assert load_newest(tmp_path).tree["epoch"] == 4
    with pytest.raises(RunError, match="epoch-0001 only the choices were kept"):
        load(tmp_path / "epoch-0001")


def test_a_crash_while_pruning_leaves_a_file_too_many_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _some(tmp_path, 2)

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", crash)
        with pytest.raises(KeyboardInterrupt):
            prune(tmp_path, keep=1)
    assert load_light(tmp_path / "epoch-0001")["choices"].tolist() == [1, 1]
    prune(tmp_path, keep=1)
    assert not (tmp_path / "epoch-0001" / "state.safetensors").exists()


def test_names_are_in_the_order_of_epochs_and_phases_are_apart(tmp_path: Path) -> None:
    for name in ["epoch-10000", "epoch-9999", "epoch-0002", "train-0003", ".epoch-0004.partial", "epoch-x", "notes"]:
        (tmp_path / name).mkdir()
    (tmp_path / "epoch-0005").write_text("a file")
    assert names(tmp_path) == ["epoch-0002", "epoch-9999", "epoch-10000"]
    assert names(tmp_path, "train-") == ["train-0003"]
    assert names(tmp_path / "missing") == []


_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from archgrad.runs import checkpoint
step, place = sys.argv[1], Path(sys.argv[2])
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if step == "after-files":
    checkpoint.sync_folder = die
elif step == "within-files":
    written = []
    write = checkpoint.write
    checkpoint.write = lambda *a: (die() if len(written) == 2 else written.append(0)) or write(*a)
elif step == "between-renames":
    rename, count = os.rename, []
    os.rename = lambda *a: die() if count else (count.append(0), rename(*a))
checkpoint.save(place, "epoch-0002", {"epoch": 2, "weights": torch.ones(8)})
"""


@pytest.mark.parametrize("step", ["within-files", "after-files", "between-renames"])
def test_a_kill_at_any_moment_loses_no_checkpoint_and_its_leftovers_go(tmp_path: Path, step: str) -> None:
    _some(tmp_path, 2 if step == "between-renames" else 1)
    run = subprocess.run([sys.executable, "-c", _KILLED, step, str(tmp_path)], check=False, capture_output=True)
    assert run.returncode == -9, run.stderr
    leftovers = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert ".epoch-0002.partial" in leftovers
    assert load_newest(tmp_path).tree["epoch"] == 1
    assert {
        path.name for path in tmp_path.iterdir() if path.name.startswith(".")
    } == leftovers  # reading deletes nothing
    save(tmp_path, "epoch-0003", {"epoch": 3})
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    kept = ["epoch-0001", "epoch-0002", "epoch-0003"] if step == "between-renames" else ["epoch-0001", "epoch-0003"]
    assert names(tmp_path) == kept
    assert load(tmp_path / kept[-2])["epoch"] == len(kept) - 1


def test_a_checkpoint_of_the_same_name_is_replaced_whole(tmp_path: Path) -> None:
    save(tmp_path, "epoch-0001", {"old": torch.zeros(2)}, {"old": 1})
    save(tmp_path, "epoch-0001", {"new": 1})
    assert load(tmp_path / "epoch-0001") == {"new": 1}
    assert load_light(tmp_path / "epoch-0001") is None
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001"]


class _FullAfter:
    """Lets some writes through to the disk, then reports it full."""

    def __init__(self, allowed: int) -> None:
        self.allowed, self.fsync = allowed, os.fsync

    def __call__(self, descriptor: int) -> None:
        if self.allowed == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.allowed -= 1
        self.fsync(descriptor)


@pytest.mark.parametrize("allowed", range(5))
def test_a_full_disk_at_any_file_is_said_and_earlier_checkpoints_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    _some(tmp_path, 2)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _FullAfter(allowed))
        with pytest.raises(RunError, match=r"disk is full: .*epoch-0002 was not written.*is intact"):
            save(tmp_path, "epoch-0002", {"epoch": "new"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0001", "epoch-0002"]
    assert load_newest(tmp_path).tree["epoch"] == 2


def test_a_failing_rename_brings_the_replaced_checkpoint_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _some(tmp_path, 1)
    rename = os.rename

    def fail_for_new(source: Path, target: Path) -> None:
        if str(source).endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_for_new)
    with pytest.raises(RunError, match="Input/output error"):
        save(tmp_path, "epoch-0001", {"epoch": "new"})
    assert load(tmp_path / "epoch-0001")["epoch"] == 1


def test_nothing_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a checkpoint must not be unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    _some(tmp_path, 1)
    assert load(tmp_path / "epoch-0001")["epoch"] == 1


def test_loading_does_not_hold_on_to_the_files(tmp_path: Path) -> None:
    _some(tmp_path, 1)
    tree = load(tmp_path / "epoch-0001")
    shutil.rmtree(tmp_path / "epoch-0001")
    tree["weights"] += 1
    assert tree["weights"].tolist() == [2.0] * 64
    assert checkpoint.names(tmp_path) == []
