"""One run of a comparison: search, costs, children, training; what is done is not done again."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from filelock import BaseFileLock, FileLock

from archgrad.api.baselines import baselines
from archgrad.api.compare_figures import Wanted
from archgrad.api.compare_rank import judged_cells, table_of
from archgrad.api.search import SearchResult, search
from archgrad.api.train import train
from archgrad.api.train_kinds import train_kind
from archgrad.engine.children import children
from archgrad.network.build import count_flops
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig
from archgrad.runs.writing import write_atomically

if TYPE_CHECKING:
    from archgrad.tasks.data import Data

__all__ = ["Doing", "done", "lock_of", "place_of_work"]


def place_of_work(folder: Path, suffix: str) -> Path:
    """Return a file for the work on a run, beside the runs: its lock, or what its process printed."""
    place = folder.parent / "workers"
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{folder.name}{suffix}"


def lock_of(folder: Path) -> BaseFileLock:
    """Return the lock on a run, to be held by the one process that does it; taken, entering it raises ``Timeout``."""
    return FileLock(place_of_work(folder, ".lock"), timeout=0)


def done(folder: Path, wanted: Wanted) -> bool:
    """Say whether everything that is wanted of a run lies in its folder."""
    names = ["architecture.json", "costs.json", *["model.safetensors"] * wanted.retrain]
    judged = _children_of(folder) >= wanted.children and _ranked_of(folder) >= wanted.rank
    beside = not wanted.baselines or _has_baselines(folder)
    return judged and beside and all((folder / name).is_file() for name in names)


def _children_of(folder: Path) -> int:
    """Return how many random children were judged."""
    path = folder / "children.json"
    return len(json.loads(path.read_text())["random"]) if path.is_file() else 0


def _ranked_of(folder: Path) -> int:
    """Return how many random cells of a table were judged."""
    path = folder / "ranking.json"
    return len(json.loads(path.read_text())["cells"]) if path.is_file() else 0


def _has_baselines(folder: Path) -> bool:
    """Say whether all baselines were measured."""
    path = folder / "baselines.json"
    return path.is_file() and bool(json.loads(path.read_text())["complete"])


class Doing:
    """Doing what is missing of one run; interrupted, it goes on from its newest checkpoint.

    Args:
        folder: its run directory.
        config: of its search and training.
        wanted: what is asked of it.
    """

    def __init__(self, folder: Path, config: SearchConfig, wanted: Wanted) -> None:
        self.folder, self.config, self.wanted = folder, config, wanted

    def __call__(self) -> None:
        """Do what is missing.

        Raises:
            ArchgradError: the search or the training failed.
            KeyboardInterrupt: Ctrl-C; a checkpoint was written.
        """
        if not (self.folder / "architecture.json").is_file():
            self._searched  # noqa: B018
        if not (self.folder / "costs.json").is_file():
            self._note("costs.json", _costs(self._searched))
        if _children_of(self.folder) < self.wanted.children:
            self._note("children.json", children(self._searched.state, self.wanted.children))
        if _ranked_of(self.folder) < self.wanted.rank:
            table = table_of(Path(str(self.wanted.table)))
            self._note("ranking.json", judged_cells(self._searched.state, table, self.wanted.rank))
        if self.wanted.retrain and not (self.folder / "model.safetensors").is_file():
            train(self.folder, resume=bool(checkpoint.names(self.folder / "checkpoints", "train-")))
        if self.wanted.baselines:
            baselines(self.folder, device=self.config.device)

    @cached_property
    def _searched(self) -> SearchResult:
        """The search: done, gone on with, or read again."""
        if (self.folder / "config.yaml").is_file():
            return search(run=self.folder, resume=True, table=self.wanted.table)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return search(
            self.config.recipe,
            settings=self.config.model_dump(exclude={"version", "command", "citation", "recipe", "format"}),
            command=self.config.command,
            run=self.folder,
            table=self.wanted.table,
        )

    def _note(self, name: str, found: dict[str, Any]) -> None:
        write_atomically(self.folder / name, json.dumps(found, indent=1).encode())


def _costs(searched: SearchResult) -> dict[str, int]:
    """Return parameters and multiply-adds of the network that a training would make of the found cells."""
    data = cast("Data", searched.state.parts.data)
    kind = train_kind(searched.architecture, searched.config)
    network = kind.finished(kind.fresh(searched.architecture, searched.config, data, None))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"parameters": parameters, "flops": count_flops(network, data.input_shape)}
