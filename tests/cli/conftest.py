"""One tiny search and one tiny training for all tests of the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from archgrad.cli.app import app

TINY = [
    *("--set", "supernet.cells=1", "--set", "supernet.channels=2", "--set", "space.nodes=2"),
    *("--set", "data.limit=100", "--set", "data.batch=16", "--epochs", "1"),
]

Program = Callable[..., Result]


def run_program(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def program() -> Program:
    """The program in this process: ``program("show", "DARTS_V1")``."""
    return run_program


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished search of one epoch: its directory, and what ``--json`` said."""
    run = tmp_path_factory.mktemp("cli") / "searched"
    return run, run_program("search", "darts", *TINY, "--seed", 3, "--run", run, "--json")


@pytest.fixture
def run(searched: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy of the finished search, to change at will."""
    return Path(shutil.copytree(searched[0], tmp_path / "run"))


@pytest.fixture(scope="session")
def trained(searched: tuple[Path, Result], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The search with its network trained for one epoch, and what ``--json`` said."""
    run = Path(shutil.copytree(searched[0], tmp_path_factory.mktemp("cli") / "trained"))
    done = run_program("train", run, "--epochs", 1, "--cells", 1, "--channels", 2, "--json")
    assert done.exit_code == 0, done.output
    return run, json.loads(done.stdout)
