"""Latencies: measured once, kept where they belong, added up to a network's; the cache survives what may happen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import archgrad
from archgrad.errors import InputError
from archgrad.network import latency
from archgrad.network.build import blueprint
from archgrad.network.image import Cell, ImageNetwork
from archgrad.network.latency import LatencyTable, measure, network_latency
from archgrad.network.latency_cache import LatencyCache, cache_folder
from archgrad.network.modules import OPERATIONS, SeparableConvolution

CPU = torch.device("cpu")


class Clock:
    """Stands in for time: every call of a measured function takes what the test says."""

    def __init__(self, durations: Iterator[float], share: float = 1.0) -> None:
        self.now, self.worked, self.durations, self.share = 0.0, 0.0, durations, share

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.worked

    thread_time = process_time

    def run(self) -> None:
        duration = next(self.durations)
        self.now += duration
        self.worked += duration if duration < 1.0 else duration * self.share


def test_a_measurement_is_the_median_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(iter([9.0, 0.01, 0.01, *[0.010, 0.012, 0.014] * 3]), share=1.0)
    monkeypatch.setattr(latency, "time", clock)
    monkeypatch.setattr(latency, "LONGEST_SECONDS", 100.0)
    assert measure(clock.run, CPU) == pytest.approx(12.0)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def test_one_threads_own_clock_leaves_out_what_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(iter([2.0] * 60), share=0.25)
    monkeypatch.setattr(latency, "time", clock)
    monkeypatch.setattr(latency, "LONGEST_SECONDS", 100.0)
    assert measure(clock.run, CPU) == pytest.approx(500.0)


@pytest.mark.usefixtures("two_threads")
def test_bursts_in_which_others_had_the_processor_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = [2.0, 0.010, 3.0, 0.012, 2.0, 0.014]
    clock = Clock(iter([0.01, 0.01, 0.01, *disturbed * 3]), share=0.5)
    monkeypatch.setattr(latency, "time", clock)
    monkeypatch.setattr(latency, "LONGEST_SECONDS", 100.0)
    assert measure(clock.run, CPU) == pytest.approx(12.0)


@pytest.mark.usefixtures("two_threads")
def test_where_nothing_was_undisturbed_everything_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(iter([2.0] * 3 + [3.0] * 60), share=0.5)
    monkeypatch.setattr(latency, "time", clock)
    assert measure(clock.run, CPU) == pytest.approx(3000.0)


def test_quick_calls_are_timed_in_bursts() -> None:
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1

    assert measure(run, CPU) < 0.1
    assert calls > 100


@pytest.mark.usefixtures("two_threads")
def test_what_sleeps_takes_as_long_as_it_sleeps() -> None:
    assert 5.0 <= measure(lambda: time.sleep(0.005), CPU) < 50.0


def table(folder: Path, batch: int = 2, **options: Any) -> LatencyTable:
    return LatencyTable(CPU, batch, folder=folder, **options)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the n-th measurement give n milliseconds."""
    done: list[float] = []

    def count(run: Any, device: torch.device) -> float:
        run()
        done.append(float(len(done) + 1))
        return done[-1]

    monkeypatch.setattr(latency, "measure", count)
    return done


def test_an_operation_is_measured_once_and_kept_for_all_processes(tmp_path: Path, measured: list[float]) -> None:
    first = table(tmp_path)
    assert first.operation("sep_conv_3x3", 2, 1, (4, 4)) == 1
    assert first.operation("sep_conv_3x3", 2, 1, (4, 4)) == 1
    assert first.operation("sep_conv_3x3", 2, 2, (4, 4)) == 2
    assert first.operation("sep_conv_3x3", 4, 1, (4, 4)) == 3
    assert first.operation("sep_conv_3x3", 2, 1, (4, 6)) == 4
    assert table(tmp_path, batch=3).operation("sep_conv_3x3", 2, 1, (4, 4)) == 5
    assert table(tmp_path).operation("sep_conv_3x3", 2, 2, (4, 4)) == 2
    assert len(measured) == 5
    (file,) = tmp_path.iterdir()
    content = json.loads(file.read_text())
    assert content["threads"] == torch.get_num_threads()
    assert content["torch"] == torch.__version__
    assert f"torch-{torch.__version__.split('+')[0]}" in file.name
    assert sorted(content["milliseconds"].values()) == [1, 2, 3, 4, 5]


def test_what_computes_nothing_takes_no_time(tmp_path: Path, measured: list[float]) -> None:
    known = table(tmp_path)
    assert known.operation("none", 2, 1, (4, 4)) == known.edge("none", 2, 2, (4, 4)) == 0
    assert known.operation("skip_connect", 2, 1, (4, 4)) == 0
    assert not measured
    assert known.edge("skip_connect", 2, 1, (4, 4)) == known.sum(2, (4, 4)) == 1
    assert known.edge("skip_connect", 2, 2, (8, 7)) == known.operation("skip_connect", 2, 2, (8, 7)) + known.sum(
        2, (4, 4)
    )


def test_pooling_with_and_without_norm_are_two_operations(tmp_path: Path, measured: list[float]) -> None:
    assert table(tmp_path).operation("max_pool_3x3", 2, 1, (4, 4)) == 1
    assert table(tmp_path, pool_norm=True).operation("max_pool_3x3", 2, 1, (4, 4)) == 2
    assert table(tmp_path, pool_norm=True).operation("sep_conv_3x3", 2, 1, (4, 4)) == 3
    assert table(tmp_path).operation("sep_conv_3x3", 2, 1, (4, 4)) == 3


def test_what_is_known_goes_before_the_cache(tmp_path: Path, measured: list[float]) -> None:
    first = table(tmp_path)
    first.operation("sep_conv_3x3", 2, 1, (4, 4))
    known = dict.fromkeys(first.used, 7.0)
    assert table(tmp_path, known=known).operation("sep_conv_3x3", 2, 1, (4, 4)) == 7


def test_a_users_own_operation_is_measured_by_every_process(tmp_path: Path, measured: list[float]) -> None:
    def make(channels: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
        return SeparableConvolution(channels, 3, stride, affine)

    OPERATIONS["own"] = make
    try:
        assert table(tmp_path).operation("own", 2, 1, (4, 4)) == 1
        assert table(tmp_path).operation("own", 2, 1, (4, 4)) == 2  # it may have changed in the meantime
    finally:
        del OPERATIONS["own"]
    assert not list(tmp_path.iterdir())


def test_measuring_leaves_random_numbers_and_gradients_alone(tmp_path: Path, measured: list[float]) -> None:
    before = torch.get_rng_state()
    table(tmp_path).operation("sep_conv_3x3", 2, 1, (4, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"format": 1}',
        b'{"format": 0, "milliseconds": {}}',
        json.dumps({"milliseconds": {"a": "1"}}).encode(),
        json.dumps({"milliseconds": {"a": -1.0}}).encode(),
        b'{"milliseconds": {"a": NaN}}',
    ],
)
def test_a_damaged_file_is_said_and_written_anew(tmp_path: Path, damage: bytes) -> None:
    LatencyCache(CPU, tmp_path).add({"a": 1.0})
    (file,) = tmp_path.iterdir()
    if damage.startswith(b'{"milliseconds"'):  # right but for its numbers
        whole = json.loads(file.read_text())
        damage = json.dumps(whole | json.loads(damage)).encode()
    file.write_bytes(damage)
    with pytest.warns(UserWarning, match="cannot be used .* measured again"):
        cache = LatencyCache(CPU, tmp_path)
    assert cache.milliseconds == {}
    with pytest.warns(UserWarning, match="cannot be used"):
        cache.add({"b": 2.0})
    assert LatencyCache(CPU, tmp_path).milliseconds == {"b": 2.0}


def test_several_processes_add_to_one_file(tmp_path: Path) -> None:
    one, two = LatencyCache(CPU, tmp_path), LatencyCache(CPU, tmp_path)
    one.add({"a": 1.0})
    two.add({"b": 2.0})
    assert LatencyCache(CPU, tmp_path).milliseconds == {"a": 1.0, "b": 2.0}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_said_and_no_obstacle(tmp_path: Path, measured: list[float]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"could not be kept .*ARCHGRAD_CACHE"):
        assert table(tmp_path / "file" / "folder").operation("sep_conv_3x3", 2, 1, (4, 4)) == 1


def test_the_cache_lies_where_the_user_says_or_where_caches_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("ARCHGRAD_CACHE", "~/here")
    assert cache_folder() == Path.home() / "here"
    monkeypatch.delenv("ARCHGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert cache_folder() == Path("/there/archgrad")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "archgrad"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "archgrad"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/archgrad/Cache")


@pytest.mark.parametrize(("stem", "side"), [("plain", 8), ("imagenet", 64)])
def test_a_networks_latency_is_the_sum_of_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str, side: int
) -> None:
    """Parts take a thousandth of what they write; a network then takes what all its modules and sums write."""
    written: list[int] = []

    def size(run: Any, device: torch.device) -> float:
        return float(run().numel()) / 1000

    monkeypatch.setattr(latency, "measure", size)
    cell = archgrad.published("SNAS_MILD")
    plan = blueprint(cell, cells=3, channels=2, in_channels=1, classes=5, stem=stem)
    predicted = network_latency(table(tmp_path, pool_norm=True), plan, (side, side))
    network = ImageNetwork(plan)

    def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        written.append(output.numel())

    written.append(network.stem(torch.rand(2, 1, side, side)).numel())
    network.classifier.register_forward_hook(count)
    for layer in network.cells:
        assert isinstance(layer, Cell)
        layer.register_forward_hook(count)  # the join
        for part in [*layer.preprocess, *(op for op in layer.operations if not isinstance(op, nn.Identity))]:
            part.register_forward_hook(count)
        for node in range(2, 6):
            edges = [index for index, (_, target) in enumerate(layer.edges) if target == node]
            for index in edges[1:]:
                layer.operations[index].register_forward_hook(count)  # its sum
    network.eval()(torch.rand(2, 1, side, side))
    assert predicted == pytest.approx(sum(written) / 1000)


def test_norms_on_nodes_take_time_too(tmp_path: Path, measured: list[float]) -> None:
    cell = archgrad.published("DARTS_V1")
    plan = blueprint(cell, cells=1, channels=2, in_channels=1, classes=5)
    plain = network_latency(table(tmp_path), plan, (4, 4))
    plan["network"]["node_norm"] = True
    assert network_latency(table(tmp_path), plan, (4, 4)) == plain + 4 * measured[-1]


SMALL: dict[str, Any] = {"cells": 2, "channels": 2, "input_shape": (1, 8, 8), "classes": 5, "device": "cpu"}


def test_prediction_and_measurement_are_of_one_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHGRAD_CACHE", str(tmp_path))
    cell = archgrad.published("SNAS_AGGRESSIVE")
    predicted, measured = archgrad.predict_latency(cell, **SMALL), archgrad.measure_latency(cell, **SMALL)
    assert measured / 20 < predicted < measured * 20  # other programs may be busy: no more can be said here
    assert archgrad.predict_latency(cell, **SMALL) == predicted


def test_a_measured_module_comes_back_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)).train()
    assert archgrad.measure_latency(network, input_shape=(3, 8, 8), batch=2, device="cpu") > 0
    assert network.training
    assert int(network.state_dict()["1.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"input_shape": (8, 8)}, "three positive numbers"),
        ({"input_shape": (0, 8, 8)}, "three positive numbers"),
        ({"cells": 0}, "cells is 0"),
        ({"device": "gpu"}, "no device 'gpu'"),
    ],
)
def test_wrong_sizes_are_said(options: dict[str, Any], message: str) -> None:
    cell = archgrad.published("DARTS_V2")
    for function in (archgrad.predict_latency, archgrad.measure_latency):
        with pytest.raises(InputError, match=message):
            function(cell, **SMALL | options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_waited_for() -> None:
    device = torch.device("cuda", 0)
    x = torch.rand(4096, 4096, device=device)
    assert measure(lambda: x @ x, device) > 0.2  # 137 GFLOP cannot take less; a launch alone takes 0.01
