"""``search``: from a recipe and data to an architecture."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archgrad.api.from_python import ask_again
from archgrad.api.interrupts import minding_interrupts
from archgrad.api.recorder import Hook, Progress, Recorder, peak_memory_mb
from archgrad.api.settings import load_plugin, search_config, search_layers
from archgrad.api.tracking import Tracking, tracker_names
from archgrad.architecture import Architecture
from archgrad.choices import Mixing
from archgrad.engine.curvature import stopping_epoch
from archgrad.engine.derivations.derive import architecture_of, supports_of
from archgrad.engine.derivations.selection import Selects, decided, final_expected
from archgrad.engine.evaluate import child_metrics, supernet_metrics
from archgrad.engine.loop import SearchStoppedError, run_search
from archgrad.engine.mixings import transit_mixings
from archgrad.engine.state import SearchState
from archgrad.engine.update import NotFiniteError
from archgrad.errors import InputError
from archgrad.processes import join_processes
from archgrad.recipes.assemble import Assembled, describe
from archgrad.recipes.recipe import Recipe
from archgrad.runs.config import SearchConfig, resolve
from archgrad.runs.directory import RunDirectory
from archgrad.tasks.cell_table import CellTable
from archgrad.tasks.image import Measure

__all__ = ["SearchResult", "search"]


@dataclass(frozen=True)
class SearchResult:
    """What a search hands back; every field but ``history``, ``config`` and ``state`` is in :meth:`to_dict`.

    Args:
        architecture: the derived cells.
        recipe: name of the recipe.
        space: name of the space.
        data: the SPEC; "in-memory", or "in-memory-text", where objects were given.
        seed: of everything random.
        epochs: that were asked for.
        run: the run directory, if one was written.
        search_seconds: spent searching, interruptions not counted.
        peak_memory_mb: most memory held by this process.
        supernet_parameters: weights of the supernet, choices not counted.
        validation: metrics of the supernet on the validation part.
        derived_validation: the same for the derived child: inherited weights, no retraining, statistics re-estimated.
        derived_validation_weighted: the same with the expected weights kept on the edges.
        table: what a table of trained cells says of the derived one, as
            :meth:`archgrad.tasks.cell_table.CellTable.about` tells it; None where no table was given.
        history: derived cell and score of every epoch.
        warnings: in plain words.
        config: everything that decided the search.
        state: the whole search, for a look inside.
    """

    architecture: Architecture
    recipe: str
    space: str
    data: str
    seed: int
    epochs: int
    run: Path | None
    search_seconds: float
    peak_memory_mb: float
    supernet_parameters: int
    validation: dict[str, float]
    derived_validation: dict[str, float]
    derived_validation_weighted: dict[str, float]
    history: list[dict[str, Any]] = field(repr=False)
    warnings: list[str]
    table: dict[str, Any] | None
    config: SearchConfig = field(repr=False)
    state: SearchState = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, what ``--json`` prints."""
        inside = ("history", "config", "state")
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in inside}
        return plain | {"architecture": self.architecture.to_dict(), "run": str(self.run) if self.run else None}


def search(
    recipe: str | Recipe | None = None,
    *,
    data: object = None,
    space: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    table: str | Path | CellTable | None = None,
    track: str | Sequence[str] = (),
    plugin: str | None = None,
    loss: Measure | None = None,
    metrics: Mapping[str, Measure] | None = None,
    on_epoch: Hook | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = (),
) -> SearchResult:
    """Search for an architecture by gradient descent.

    Args:
        recipe: a name that ``archgrad list recipes`` shows, or a :class:`Recipe` of your own; default
            ``entrannas``, the cheapest.
        data: a SPEC ("digits", "imagefolder:PATH", "hf:NAME", ...), a pair of tensors (images, labels), a
            ``DataLoader`` or a map-style data set, series as a pandas frame or rows of numbers [time, series], or
            text as :func:`archgrad.tasks.text_own.load_own_text` takes it, such as a list of documents; default
            ``digits``.
        space: name of the space, in place of the recipe's.
        settings: dotted paths, as ``--set``: ``{"supernet.cells": 4, "relaxation": "softmax"}``.
        config: a YAML file of settings, such as another run's config.yaml.
        epochs: of the search.
        seed: of everything random; default 0.
        device: "auto", "cpu", "cuda", "cuda:1".
        run: run directory to write; None: nothing is written.
        resume: go on with the run in ``run`` from its newest checkpoint.
        table: a table of trained cells (CSV), in which derived cells are looked up; it decides nothing. For the space
            ``nasbench201``.
        track: experiment trackers that get the figures of the log: "tensorboard", "mlflow", "wandb". They change
            nothing, so a resumed run may have others than it began with.
        plugin: a module to import first, which registers parts.
        loss: callable (output, target) -> scalar, in place of cross entropy.
        metrics: name -> callable (output, target) -> number, in place of accuracy.
        on_epoch: called with the :class:`SearchState` after every epoch; returning True ends the search.
        progress: called with every event, to show it.
        command: the words of the command line, kept in config.yaml.

    Raises:
        InputError: the words or the input are wrong.
        RunError: the run failed; its last good checkpoint is kept.
        KeyboardInterrupt: Ctrl-C; a checkpoint was written.
    """
    load_plugin(plugin)
    table = CellTable(table) if isinstance(table, (str, Path)) else table
    trackers = tracker_names(track, run)
    given = {"data": data, "space": space, "seed": seed, "epochs": epochs, "device": device, "config": config}
    given |= {"settings": settings, "command": command}
    processes = join_processes(device or "cpu")
    directory, settled = open_run(recipe, run, resume, given, processes.main)
    if table:
        table.check_space(settled.space.name)
    own = None if data is None or isinstance(data, str) else data
    if own is None:
        ask_again(settled.data.spec, "This run was searched on", "the same {what} again to go on with it")
    ready = Assembled(settled, own_data=own, loss=loss, metrics=metrics, processes=processes)
    if directory is None and run is not None and processes.main:
        directory = RunDirectory.create(run, settled)  # only now: what is wrong with the data leaves no directory
    tracking = Tracking(trackers if processes.main else (), "search", directory)
    recorder = Recorder(settled, directory, ready.data.fingerprint, on_epoch, progress, processes.main, table, tracking)
    with closing(recorder):
        return _run(ready, recorder, settled, directory)


def _run(ready: Assembled, recorder: Recorder, config: SearchConfig, directory: RunDirectory | None) -> SearchResult:
    """Search to the end, or say how the search ended before."""
    recorder.start(ready.state)
    recorder.tracking.start(ready.state.step, config, recorder.log)
    started, before = time.perf_counter(), recorder.seconds
    where = directory.path if directory else None
    try:
        with minding_interrupts(recorder.ask_to_stop):
            if not recorder.collapsed:
                run_search(ready.state, recorder, describe(config))
    except SearchStoppedError:
        recorder.seconds = before + time.perf_counter() - started
        recorder.save_interrupted(ready.state)
        hint = f" Go on with: archgrad search --resume --run {where}" if where else ""
        raise KeyboardInterrupt(f"Interrupted at step {ready.state.step}.{hint}") from None
    except NotFiniteError as error:
        recorder.warn(str(error))
        kept = f" The run's last good checkpoint, epoch {ready.state.epoch}, is kept in {where}." if where else ""
        raise NotFiniteError(f"{error}{kept}") from None
    return _finish(ready, recorder, config, directory)


def open_run(
    recipe: str | Recipe | None, run: str | Path | None, resume: bool, given: dict[str, Any], main: bool
) -> tuple[RunDirectory | None, SearchConfig]:
    """Return the opened run directory when resuming, and the configuration that counts."""
    if not resume:
        settled = search_config(recipe, **given)
        if main and run is not None and (Path(run) / "config.yaml").exists():
            RunDirectory.create(run, settled)  # refuses, with the reason, before the data are read
        return None, settled
    if run is None:
        raise InputError("--resume needs the run to go on with: --run DIR.")
    directory = RunDirectory.open(run)
    stored = directory.read_config()
    # a frame is neither true nor false
    some = recipe or given["data"] is not None or any(value for key, value in given.items() if key != "data")
    layers = search_layers(recipe or stored.recipe or "", **given) if some else []
    wanted = resolve(stored.model_dump(), *layers[1 if recipe is None else 0 :]) if layers else stored
    ignored = {"command", "version", "device", "citation"}
    before, after = (c.model_dump(exclude=ignored) for c in (stored, wanted))
    changed = [key for key in before if before[key] != after[key]]
    if changed:
        raise InputError(
            f"The run {run} was started with another {', '.join(changed)}; a resumed run goes on as it began. "
            "Leave these words out, or start a new run."
        )
    return directory, wanted


def _finish(ready: Assembled, recorder: Recorder, config: SearchConfig, directory: RunDirectory | None) -> SearchResult:
    """Derive, measure, write what a finished search leaves behind."""
    state, parts = ready.state, ready.state.parts
    progress = state.progress_after(state.epoch)
    recorded = bool(recorder.last) and recorder.last["epoch"] == state.epoch
    supernet = recorder.last["validation"] if recorded else supernet_metrics(state, progress)
    started = time.perf_counter()
    supports = decided(state)
    recorder.seconds += time.perf_counter() - started
    architecture = architecture_of(parts.space, supports, None, describe(config))
    if config.early_stop == "eigenvalue" and (epoch := stopping_epoch(state.history)) is not None:
        earlier = Architecture.from_dict(next(e["architecture"] for e in state.history if e["epoch"] == epoch))
        architecture = replace(earlier, made_by=describe(config) | {"epoch": epoch})
        supports, recorded = supports_of(parts.space, architecture), False
        message = f"The choices' loss got sharp, so the cells are those of epoch {epoch} of {state.epoch}."
        if message not in recorder.warnings:
            recorder.warn(message)
    expected = final_expected(state)
    child = transit_mixings(expected, supports)
    weighted = {kind: Mixing(m.weights * expected[kind].weights, m.support) for kind, m in child.items()}
    known = recorded and not isinstance(parts.derivation, Selects)  # else other cells than the last epoch's
    result = SearchResult(
        architecture=architecture,
        recipe=config.recipe or "",
        space=parts.space.name,
        data=config.data.spec,
        seed=config.seed,
        epochs=config.epochs,
        run=directory.path if directory else None,
        search_seconds=recorder.seconds,
        peak_memory_mb=peak_memory_mb(),
        supernet_parameters=sum(weight.numel() for weight in state.weights.values()),
        validation=supernet,
        derived_validation=recorder.last["derived_validation"] if known else child_metrics(state, child),
        derived_validation_weighted=child_metrics(state, weighted),
        history=list(state.history),
        warnings=list(recorder.warnings),
        table=recorder.table.about(architecture) if recorder.table else None,
        config=config,
        state=state,
    )
    recorder.tell("end", state, result.to_dict())
    if directory and recorder.log:
        from archgrad.reporting.drawing import draw_svg

        directory.write_text(directory.drawing, draw_svg(architecture))
        # last of all: where there is an architecture, everything else is there
        directory.write_text(directory.architecture, architecture.to_json())
    return result
