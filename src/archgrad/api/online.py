"""``online``: search on a stream that is read once, in order; the cell grows when the errors ask for it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from archgrad.api.online_source import Source, open_source
from archgrad.api.recorder import peak_memory_mb
from archgrad.api.search import open_run
from archgrad.api.settings import load_plugin
from archgrad.architecture import Architecture
from archgrad.engine.derivations.derive import derive
from archgrad.engine.growing.online import Prequential, Watch, growth_clock, run_online
from archgrad.engine.state import SearchState
from archgrad.errors import InputError
from archgrad.recipes.assemble import Assembled, describe
from archgrad.recipes.recurrent import DEFAULT_SPACE
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import Log

__all__ = ["OnlineResult", "online"]

PREFIX, WITHOUT_END = "block-", 10**9


@dataclass(frozen=True)
class OnlineResult:
    """What a search on a stream hands back; every field but ``state`` is in :meth:`to_dict`.

    Args:
        architecture: the cell that would be derived now.
        recipe: name of the recipe.
        data: the SPEC, or "in-memory".
        seed: of everything random.
        run: the run directory, if one was written.
        position: windows that were learned from.
        tested: windows that were forecast before anything of them was learned.
        prequential: the mean metrics of those forecasts.
        growths: what the log tells of every growth.
        seconds: spent, interruptions not counted.
        peak_memory_mb: most memory held by this process.
        state: the whole search, for a look inside.
    """

    architecture: Architecture
    recipe: str
    data: str
    seed: int
    run: Path | None
    position: int
    tested: int
    prequential: dict[str, float]
    growths: list[dict[str, Any]]
    seconds: float
    peak_memory_mb: float
    state: SearchState = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "state"}
        return plain | {"architecture": self.architecture.to_dict(), "run": str(self.run) if self.run else None}


def online(
    recipe: str | None = "growing",
    *,
    data: str | Iterable[tuple[Tensor, Tensor]] | None = None,
    space: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    device: str | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    plugin: str | None = None,
    block: int = 20,
    warmup: int | None = None,
    watch: Watch | None = None,
    command: Sequence[str] = (),
) -> OnlineResult:
    """Search on a stream of series, once and in order; each window is forecast before it is learned from.

    The growth's trigger is a plateau of these forecasts' error, or a drift of it, unless ``growth.every`` says
    otherwise (then one epoch is one block). Weights learn at the constant rate ``weights.rate``.

    Args:
        recipe: a name that ``archgrad list recipes`` shows.
        data: "csv:PATH" (a line of names, then rows), or batches (windows [N, T, F], what came next [N, horizon, F])
            in the order of time, all of one size but for N; a run that is resumed knows its file.
        space: of a recurrent cell; ``darts-rnn`` if none is named.
        settings: dotted paths, as ``--set``; ``data.batch`` windows are tested and learned at a time.
        config: a YAML file of settings.
        seed: of everything random.
        device: "auto", "cpu", "cuda".
        run: run directory to write; None: nothing is written.
        resume: go on with the run in ``run``: with the rows that were appended to the file, or with further batches.
        plugin: a module to import first, which registers parts.
        block: batches that count as one epoch: of growth, of the log, of the checkpoints.
        warmup: rows whose mean and spread standardise the series and that are learned untested; 4 windows if None.
        watch: when errors count as a drift.
        command: the words of the command line, kept in config.yaml.

    Raises:
        InputError: the words or the data are wrong, or rows that were read before have changed.
        RunError: the run failed; its last good checkpoint is kept.
    """
    load_plugin(plugin)
    if data is None and not resume:
        raise InputError("A stream needs data: csv:PATH, or batches from Python.")
    given: dict[str, Any] = {"data": data, "space": space, "seed": seed, "device": device, "config": config}
    if space is None and not resume and not isinstance(data, str):
        given["space"] = DEFAULT_SPACE
    if resume:
        given |= {"data": None}
    given |= {"settings": settings, "command": command, "epochs": None}
    directory, settled = open_run(recipe if not resume else None, run, resume, given, True)
    saved: Any = checkpoint.load_newest(directory.checkpoints, PREFIX).tree if directory else None
    if saved is not None:
        block, warmup = saved["block"], saved["warmup"]
    source = open_source(settled, data, block, warmup, saved)
    ready = Assembled(settled, own_data=source.data)
    state = ready.state
    growth = state.parts.growth
    if growth is not None and growth.every is None:
        growth = replace(growth, trigger="plateau")
    state.parts = replace(state.parts, epochs=WITHOUT_END, clock=growth_clock, growth=growth)
    done, before = Prequential(), 0.0
    if saved is not None:
        state.load_state_dict(saved["state"])
        done.load_state_dict(saved["prequential"])
        before = saved["seconds"]
    elif run is not None:
        directory = RunDirectory.create(run, settled)
    log = directory.open_log() if directory else None
    if log is not None:
        log.cut(saved["log_position"] if saved is not None else 0)
    started = time.perf_counter()

    def kept() -> None:
        if directory is not None and log is not None:
            _save(directory, log, state, done, source, block, before + time.perf_counter() - started)

    def emit(kind: str, record: dict[str, Any]) -> bool:
        if log is not None:
            log.append({"event": kind, "phase": "online", **record})
        if kind == "block":
            kept()
        return False

    try:
        run_online(state, source.ticks, done, watch or Watch(), emit)
        if not done.position:
            raise InputError(f"{source.data.name} has too few rows for one batch: {source.needs}.")
        kept()
    finally:
        if log is not None:
            log.close()
        if source.rows is not None:
            source.rows.close()
    return _result(state, settled, done, directory, before + time.perf_counter() - started)


def _save(
    run: RunDirectory, log: Log, state: SearchState, done: Prequential, source: Source, block: int, seconds: float
) -> None:
    """Write a checkpoint of everything that a resumed stream needs."""
    tree: Any = {
        "state": state.state_dict(),
        "prequential": done.state_dict(),
        "rows": source.rows.read if source.rows else 0,
        "digest": source.rows.digest if source.rows else "",
        "block": block,
        "warmup": source.warmup,
        "log_position": log.position(),
        "seconds": seconds,
    }
    light: Any = {"choices": dict(state.choices.state_dict()), "epoch": state.epoch, "step": state.step}
    if state.growing is not None:
        light["form"] = state.growing.form.to_dict()
    checkpoint.save(run.checkpoints, checkpoint.epoch_name(state.step, PREFIX), tree, light)
    for name in checkpoint.names(run.checkpoints, PREFIX)[:-2]:
        shutil.rmtree(run.checkpoints / name)


def _result(
    state: SearchState, config: SearchConfig, done: Prequential, run: RunDirectory | None, seconds: float
) -> OnlineResult:
    """Derive, and write what a stream leaves behind."""
    parts = state.parts
    architecture = derive(
        state.choices, parts.relaxation, state.progress, parts.derivation, parts.space, describe(config)
    )
    if run is not None:
        from archgrad.reporting.drawing import draw_svg

        run.write_text(run.drawing, draw_svg(architecture))
        run.write_text(run.architecture, architecture.to_json())
    return OnlineResult(
        architecture=architecture,
        recipe=config.recipe or "",
        data=config.data.spec,
        seed=config.seed,
        run=run.path if run else None,
        position=done.position,
        tested=done.tested,
        prequential=done.mean if done.tested else {},
        growths=list(state.growing.events) if state.growing is not None else [],
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
        state=state,
    )
