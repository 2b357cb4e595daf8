"""One tiny search, done once; every test gets a copy of its directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import archgrad
from archgrad.api.search import SearchResult

TINY = {
    "supernet.cells": 1,
    "supernet.channels": 4,
    "data.limit": 96,
    "data.limit_test": 40,
    "data.batch": 24,
    "train.epochs": 2,
    "train.cells": 1,
    "train.channels": 4,
    "train.batch": 24,
}


@pytest.fixture(scope="session")
def search_result(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Return a search of one epoch, with its run directory."""
    run = tmp_path_factory.mktemp("searched") / "run"
    return archgrad.search("random", data="digits", run=run, settings=TINY, device="cpu")


@pytest.fixture
def searched(search_result: SearchResult, tmp_path: Path) -> Path:
    """Return the directory of a finished search that may be written to."""
    assert search_result.run is not None
    return Path(shutil.copytree(search_result.run, tmp_path / "run"))


FORECAST = {
    "supernet.hidden": 4,
    "space.nodes": 2,
    "data.window": 4,
    "data.horizon": 2,
    "data.targets": ["realgdp", "cpi"],
    "data.batch": 16,
    "train.hidden": 4,
    "train.epochs": 2,
}


@pytest.fixture(scope="session")
def forecast_result(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Return a search of a recurrent cell, of one epoch, with its run directory."""
    run = tmp_path_factory.mktemp("forecast") / "run"
    return archgrad.search("random", data="macro", run=run, epochs=1, settings=FORECAST, device="cpu")


@pytest.fixture
def forecast_searched(forecast_result: SearchResult, tmp_path: Path) -> Path:
    """Return the directory of a finished search on series that may be written to."""
    assert forecast_result.run is not None
    return Path(shutil.copytree(forecast_result.run, tmp_path / "run"))


TEXT = {
    "supernet.hidden": 4,
    "space.nodes": 2,
    "data.window": 5,
    "data.batch": 4,
    "train.hidden": 4,
    "train.batch": 4,
    "train.epochs": 2,
    "log_every": 1,
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a text of a few words in a file."""
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    lines = ("the cat sat on the mat", "a dog saw the cat", "the dog sat", "on the mat a cat saw the dog")
    path.write_text("".join(f"{lines[number % 4]} {lines[number % 3]}\n" for number in range(40)))
    return path


@pytest.fixture(scope="session")
def text_result(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Return a search of a language model's cell, of two epochs, with its run directory."""
    run = tmp_path_factory.mktemp("text") / "run"
    return archgrad.search("darts", data=f"text:{corpus}", run=run, epochs=2, settings=TEXT, device="cpu")


@pytest.fixture
def text_searched(text_result: SearchResult, tmp_path: Path) -> Path:
    """Return the directory of a finished search on text that may be written to."""
    assert text_result.run is not None
    return Path(shutil.copytree(text_result.run, tmp_path / "run"))
