"""The search from Python: own data, own loss and metrics, hooks, settings, and what the result says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import archgrad
from archgrad.api.forecast import forecast
from archgrad.engine.state import SearchState

WHOLE: dict[str, Any] = {"supernet.cells": 1, "supernet.channels": 2, "data.batch": 16}
TINY = {**WHOLE, "space.nodes": 2}


def own_images(count: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    images = torch.rand(count, 3, 8, 8, generator=generator) * 0.5 + labels.view(-1, 1, 1, 1) / 6
    return images, labels


@pytest.fixture(scope="module")
def result() -> archgrad.SearchResult:
    return archgrad.search("darts", data="digits", epochs=1, settings={**WHOLE, "data.limit": 100})


def test_the_result_says_what_the_contract_names(result: archgrad.SearchResult) -> None:
    plain = json.loads(json.dumps(result.to_dict()))
    keys = "recipe space data seed epochs run architecture search_seconds peak_memory_mb supernet_parameters"
    assert set(keys.split()) <= set(plain)
    for name in ("validation", "derived_validation", "derived_validation_weighted"):
        assert set(plain[name]) == {"loss", "accuracy"}
        assert 0.0 <= plain[name]["accuracy"] <= 1.0
    assert archgrad.Architecture.from_dict(plain["architecture"]) == result.architecture
    assert plain["architecture"]["made_by"] == {"recipe": "darts", "seed": 0, "version": archgrad.__version__}


def test_nothing_is_written_without_a_run(result: archgrad.SearchResult) -> None:
    assert result.run is None


def test_the_derived_cell_is_what_its_weights_say(result: archgrad.SearchResult) -> None:
    for kind, cell in result.architecture.cells.items():
        targets = [edge.target for edge in cell.edges]
        assert [targets.count(node) for node in (2, 3, 4, 5)] == [2, 2, 2, 2], kind
        assert all(edge.operation != "none" for edge in cell.edges)


@pytest.mark.parametrize("kind", ["tensors", "loader"])
def test_own_data(kind: str) -> None:
    images, labels = own_images()
    data = (images, labels) if kind == "tensors" else DataLoader(TensorDataset(images, labels), batch_size=7)
    result = archgrad.search("darts", data=data, epochs=1, settings=TINY)
    assert result.data == "in-memory"
    assert result.state.supernet(images, _mixings(result.state)).shape == (60, 3)


def _mixings(state: SearchState) -> Any:
    return {kind: state.parts.relaxation.expected(table, state.progress) for kind, table in state.choices.items()}


def test_own_loss_and_metrics() -> None:
    calls = []

    def loss(output: Tensor, target: Tensor) -> Tensor:
        calls.append(len(target))
        return torch.nn.functional.cross_entropy(output, target) * 2

    result = archgrad.search(
        "darts", data=own_images(), epochs=1, settings=TINY, loss=loss, metrics={"ones": lambda o, t: torch.ones(())}
    )
    assert calls and result.validation["ones"] == 1.0


def test_the_hook_sees_every_epoch_and_may_end_the_search() -> None:
    epochs: list[int] = []

    def hook(state: SearchState) -> bool:
        epochs.append(state.epoch)
        return state.epoch == 2

    result = archgrad.search("darts", data=own_images(), epochs=5, settings=TINY, on_epoch=hook)
    assert epochs == [1, 2]
    assert len(result.history) == 2


def test_random_cells_need_no_search() -> None:
    cells = [
        archgrad.search("random", data=own_images(), seed=seed, settings=TINY).architecture.cells for seed in (0, 1)
    ]
    assert cells[0] != cells[1]


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(archgrad.InputError) as error:
        archgrad.search("darts", settings={"supernet.cels": 3, "weights.rate": -1, "relaxation": "sofmax"}, epochs=0)
    message = str(error.value)
    assert all(word in message for word in ("supernet.cells", "weights.rate", "softmax", "epochs"))


def test_unknown_recipe_shows_the_nearest() -> None:
    with pytest.raises(archgrad.InputError, match="Did you mean 'darts'"):
        archgrad.search("dartz", data="digits")


def test_a_diverging_search_says_where_and_why() -> None:
    with pytest.raises(archgrad.RunError, match="not finite|loss is (nan|inf)"):
        settings = {**TINY, "weights.rate": 1e30, "weights.clip": None}
        archgrad.search("darts", data=own_images(), epochs=2, settings=settings)


def test_the_forecast_counts_what_a_step_saves() -> None:
    words: dict[str, Any] = {"data": own_images(), "settings": {**WHOLE, "data.batch": 12}}
    whole = forecast("darts", **words)
    assert whole["steps_per_epoch"] >= 1
    assert whole["supernet_parameters"] > 0 and whole["choice_parameters"] == 2 * 14 * 8
    memory = whole["memory_mb"]
    parts = ("weights_gradients_momentum", "saved_for_backward", "scratch", "allocator", "resident_before")
    assert memory["total"] == pytest.approx(sum(memory[part] for part in parts))
    cut = forecast("darts", data=own_images(), settings={**WHOLE, "data.batch": 12, "weights.accumulate": 2})
    assert cut["memory_mb"]["saved_for_backward"] < 0.8 * memory["saved_for_backward"]
