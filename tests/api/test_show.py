"""What ``show`` says about cells and their network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import archgrad
from archgrad.runs.config import resolve
from archgrad.runs.directory import RunDirectory

SMALL: dict[str, Any] = {"cells": 3, "channels": 4, "input_shape": (1, 8, 8), "classes": 10}


def test_a_published_cell_in_its_papers_network() -> None:
    shown = archgrad.show("DARTS_V2")
    assert shown["parameters"] == 3_349_342  # the count of the authors' own network, without auxiliary head
    assert shown["parameters_mb"] == pytest.approx(3_349_342 * 4 / 2**20)
    assert shown["network"] == {"cells": 20, "channels": 36, "input_shape": [3, 32, 32], "classes": 10}
    assert "normal cell" in shown["text"] and "sep_conv_3x3" in shown["text"]
    assert archgrad.Architecture.from_dict(shown["architecture"]) == archgrad.published("DARTS_V2")


def test_the_multiply_adds_are_those_of_its_convolutions() -> None:
    shown = archgrad.show("DARTS_V1", **SMALL)
    network = archgrad.build(archgrad.published("DARTS_V1"), cells=3, channels=4, in_channels=1, classes=10)
    counted = 0

    def count(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal counted
        if isinstance(module, torch.nn.Conv2d):
            counted += output.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            counted += output.numel() * module.in_features

    for module in network.modules():
        module.register_forward_hook(count)
    network.eval()(torch.zeros(1, 1, 8, 8))
    assert shown["flops"] == counted


def test_activations_grow_with_the_image() -> None:
    small, large = (
        archgrad.show("DARTS_V1", **{**SMALL, "input_shape": (1, side, side)})["activations_mb"] for side in (8, 16)
    )
    assert large == pytest.approx(4 * small, rel=0.05)


def test_recurrent_cells_are_shown_in_the_language_model_of_darts() -> None:
    shown = archgrad.show("DARTS_RNN_V2")
    assert "tanh" in shown["text"]
    assert shown["parameters"] == 22_960_000
    assert shown["network"] == {"hidden": 850, "tokens": 10_000}


def test_a_file_and_an_architecture_show_the_same(tmp_path: Path) -> None:
    cell = archgrad.published("SNAS_MILD")
    cell.save(tmp_path / "cell.json")
    from_file, from_object = archgrad.show(tmp_path / "cell.json", **SMALL), archgrad.show(cell, **SMALL)
    assert from_file.pop("name") != from_object.pop("name")
    assert from_file == from_object


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    settings = {"train": {"cells": 3, "channels": 4}, "data": {"spec": "digits", "limit": 100}}
    run = RunDirectory.create(tmp_path / "run", resolve(settings))
    archgrad.published("DARTS_V1").save(run.architecture)
    return run


def test_a_runs_settings_and_data_give_the_sizes(run: RunDirectory) -> None:
    shown = archgrad.show(run.path)
    assert shown["network"] == {"cells": 3, "channels": 4, "input_shape": [1, 8, 8], "classes": 10}
    assert archgrad.show(run.path, cells=2)["network"]["cells"] == 2


def test_data_that_are_gone_are_no_obstacle(run: RunDirectory) -> None:
    text = run.config.read_text().replace("spec: digits", "spec: imagefolder:/nowhere")
    run.config.write_text(text)
    assert archgrad.show(run.path)["network"] == {"cells": 3, "channels": 4, "input_shape": [3, 32, 32], "classes": 10}


def test_a_trained_network_gives_its_own_sizes(run: RunDirectory) -> None:
    from archgrad.network.image import ImageNetwork
    from archgrad.network.saved import network_bytes

    network = archgrad.build(archgrad.published("DARTS_V1"), cells=2, channels=6, in_channels=3, classes=4)
    assert isinstance(network, ImageNetwork)
    about = {"task": "image", "classes": list("abcd"), "input_shape": [3, 12, 12]}
    run.write_bytes(run.model, network_bytes(network, about))
    shown = archgrad.show(run.path)
    assert shown["network"] == {"cells": 2, "channels": 6, "input_shape": [3, 12, 12], "classes": 4}
    assert shown["parameters"] == sum(parameter.numel() for parameter in network.parameters())


def test_what_is_nothing_of_the_kind_is_said(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(archgrad.InputError, match="Did you mean 'DARTS_V2'"):
        archgrad.show("DARTS_V3")
    with pytest.raises(archgrad.InputError, match=rf"Did you mean '{run.path}'"):
        archgrad.show(tmp_path / "ran")
    run.architecture.unlink()
    with pytest.raises(archgrad.InputError, match=r"not finished.*--resume"):
        archgrad.show(run.path)


@pytest.mark.parametrize("wrong", [{"cells": 0}, {"channels": -1}, {"input_shape": (3, 32)}, {"classes": 0}])
def test_sizes_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(archgrad.InputError):
        archgrad.show("DARTS_V1", **{**SMALL, **wrong})


def test_latency_is_measured_if_asked_for() -> None:
    assert archgrad.show("SNAS_MILD", **SMALL)["latency_ms"] is None
    assert archgrad.show("SNAS_MILD", **SMALL, latency=True, batch=2, device="cpu")["latency_ms"] > 0
    assert archgrad.show("SNAS_MILD", **SMALL)["memory_access"] > archgrad.show("SNAS_MILD", **SMALL)["parameters"]
    with pytest.raises(archgrad.InputError, match="batch is 0"):
        archgrad.show("SNAS_MILD", **SMALL, latency=True, batch=0)
