"""``train``: from an architecture and data to a trained network."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from archgrad.api.interrupts import minding_interrupts
from archgrad.api.search import SearchResult
from archgrad.api.settings import load_plugin
from archgrad.api.tracking import Tracking, tracker_names
from archgrad.api.train_kinds import Task, train_kind
from archgrad.api.train_origin import Origin, find_origin, refuse_changes, train_config
from archgrad.api.train_recorder import PREFIX, Hook, Progress, TrainRecorder
from archgrad.api.train_result import TrainResult, finish
from archgrad.architecture import Architecture
from archgrad.errors import InputError, NotFiniteError
from archgrad.network.kinds import kind_of
from archgrad.network.training import TrainingStoppedError, TrainState, train_network
from archgrad.processes import Processes, join_processes
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig, resolve
from archgrad.runs.directory import RunDirectory
from archgrad.tasks.data import Data, find_device
from archgrad.tasks.image import Measure

__all__ = ["TrainResult", "train"]


def train(
    run_or_architecture: str | Path | Architecture | SearchResult,
    *,
    data: object = None,
    epochs: int | None = None,
    cells: int | None = None,
    channels: int | None = None,
    inherit: bool = False,
    run: str | Path | None = None,
    seed: int | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    track: str | Sequence[str] = (),
    plugin: str | None = None,
    loss: Measure | None = None,
    metrics: Mapping[str, Measure] | None = None,
    on_epoch: Hook | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = (),
) -> TrainResult:
    """Train a found architecture on everything but the test part, and measure it there.

    What is not given comes from the run's config.yaml, else it is DARTS' evaluation setting (600 epochs, 20 cells of 36
    channels), and for recurrent cells :data:`archgrad.recipes.recurrent.TRAINING` or, on text,
    :func:`archgrad.recipes.text.text_training` (30 epochs, 64 units). The network of a run is written into its
    directory.

    Args:
        run_or_architecture: a run directory, an architecture file, the name of a published cell, an
            :class:`Architecture`, or what :func:`archgrad.search` returned.
        data: a SPEC (``csv:PATH``, ``macro``, ``text:PATH`` or ``pydoc`` for a recurrent cell); of images also a pair
            of tensors (images, labels), a ``DataLoader`` or a map-style data set; of series a pandas frame or rows of
            numbers; of text documents, as :func:`archgrad.tasks.text_own.load_own_text` takes them.
        epochs: passes over the training part.
        cells: cells in the stack.
        channels: channels of the first cell's nodes.
        inherit: start from the supernet's weights and statistics instead of fresh ones.
        run: a directory of its own for this training.
        seed: of fresh weights, the order of the data, augmentation and drop-path.
        device: "auto", "cpu", "cuda", "cuda:1".
        settings: dotted paths: ``{"train.rate": 0.1, "data.flip": True}``.
        resume: go on with a training that was interrupted, from its newest checkpoint.
        track: experiment trackers that get the figures of the log: "tensorboard", "mlflow", "wandb". They change
            nothing, so a resumed training may have others than it began with.
        plugin: a module to import first, which registers parts.
        loss: callable (output, target) -> scalar, in place of cross entropy or, of forecasts, the squared error.
        metrics: name -> callable (output, target) -> number, in place of accuracy, or of the errors of forecasts.
        on_epoch: called with the :class:`TrainState` after every epoch; returning True ends the training.
        progress: called with every event, to show it.
        command: the words of the command line, kept in the log.

    Raises:
        InputError: the words or the input are wrong, or there is a trained network already.
        RunError: the training failed; its last good checkpoint is kept.
        KeyboardInterrupt: Ctrl-C; a checkpoint was written.
    """
    load_plugin(plugin)
    origin = find_origin(run_or_architecture)
    target = _target(origin, run)
    trackers = tracker_names(track, target)
    given: dict[str, Any] = {
        "data": data,
        "settings": settings,
        "epochs": epochs,
        "cells": cells,
        "channels": channels,
        "seed": seed,
    }
    resumed = _resumed(origin, target, inherit) if resume else None
    before = train_kind(origin.architecture, origin.config) if inherit and resumed is None else None
    supernet = before.supernet(origin) if before else None
    if resumed is None:
        config = train_config(origin.config, inherit=inherit, **given)
    else:
        tree: Any = resumed.tree
        inherit, stored = tree["inherit"], resolve(tree["config"])
        config = train_config(stored, inherit=inherit, **given)
        refuse_changes(stored, config, cast(RunDirectory, target).path)
    kind = train_kind(origin.architecture, config)
    if before and kind is not before:
        raise InputError(
            f"The supernet learnt {origin.config.data.spec}, and {config.data.spec} asks for another task; train from "
            "scratch, or on data of that kind."
        )
    place = find_device(device)
    processes = join_processes(place.type)
    if target is not None and not resume and processes.main:
        _refuse_to_overwrite(origin, target, config)
    opened = kind.data(config, data, place, processes)
    if resumed is not None and tree["fingerprint"] != opened.fingerprint:
        raise InputError(
            f"The data are not the same any more: the training in {cast(RunDirectory, target).path} began on data with "
            f"fingerprint {tree['fingerprint'][:12]}, these have {opened.fingerprint[:12]}."
        )
    task = kind.task(opened, loss, metrics)
    task.training_loss(config.train.label_smoothing)  # refuses before anything is written
    network = (
        kind_of(tree["blueprint"]).build(tree["blueprint"])
        if resumed
        else kind.fresh(origin.architecture, config, opened, supernet)
    )
    state = TrainState(network.to(place), config.train, seed=config.seed)
    if resumed:
        state.load_state_dict(tree["state"])
    facts = {
        "config": config.model_dump(exclude={"version", "command", "device"}),
        "architecture": origin.architecture.to_dict(),
        "inherit": inherit,
        "fingerprint": opened.fingerprint,
        "blueprint": network.blueprint,
    }
    if target is not None and processes.main and target is not origin.run and not target.config.is_file():
        _create(target, config, origin.architecture)
    tracking = Tracking(trackers if processes.main else (), "train", target)
    recorder = TrainRecorder(config, target if processes.main else None, facts, on_epoch, progress, tracking)
    words = {"data": config.data.spec, "seed": config.seed, "version": config.version, "inherit": inherit}
    words |= {"fingerprint": opened.fingerprint, "train": config.train.model_dump(), "command": list(command)}
    with closing(recorder):
        recorder.start(state, resumed, words)
        tracking.start(state.step, config, recorder.log)
        _run(state, opened, task, recorder, processes)
        return finish(state, opened, task, recorder, origin.architecture, kind)


def _target(origin: Origin, run: str | Path | None) -> RunDirectory | None:
    """Return the directory that is written, if any; the origin's own is recognised under other names."""
    if run is None or (origin.run is not None and Path(run).resolve() == origin.run.path.resolve()):
        return origin.run
    return RunDirectory(run)


def _resumed(origin: Origin, target: RunDirectory | None, inherit: bool) -> checkpoint.Newest | None:
    """Return the checkpoint to go on from; None when the training was stopped before its first one.

    Raises:
        InputError: there is no such run, or it trains something else.
    """
    if target is None:
        raise InputError("Nothing was written that could be resumed: name the run directory of the training.")
    RunDirectory.open(target.path)
    if Architecture.load(target.architecture).to_dict() != origin.architecture.to_dict():
        raise InputError(f"The run {target.path} holds another architecture than the one that is to be trained.")
    if not checkpoint.names(target.checkpoints, PREFIX):
        return None
    newest = checkpoint.load_newest(target.checkpoints, PREFIX)
    tree: Any = newest.tree
    if tree["architecture"] != origin.architecture.to_dict():
        raise InputError(
            f"The training in {target.path} began with another architecture than its architecture.json holds now. Put "
            "that one back to go on, or train the new one under another --run."
        )
    if inherit and not tree["inherit"]:
        raise InputError(f"The training in {target.path} began from scratch, and goes on so: leave --inherit out.")
    return newest


def _refuse_to_overwrite(origin: Origin, target: RunDirectory, config: SearchConfig) -> None:
    """Refuse a directory that holds a training already, or anything else."""
    if target is not origin.run:
        if target.config.exists():
            RunDirectory.create(target.path, config)  # says why not
        return
    if target.model.exists():
        raise InputError(
            f"There is a trained network in {target.path} already; name another --run, or take that training up again "
            "with --resume."
        )
    if checkpoint.names(target.checkpoints, PREFIX):
        raise InputError(
            f"There is an unfinished training in {target.path}; go on with it with --resume, or name another --run."
        )


def _create(target: RunDirectory, config: SearchConfig, architecture: Architecture) -> None:
    """Make the directory of a training of its own."""
    from archgrad.reporting.drawing import draw_svg

    RunDirectory.create(target.path, config)
    target.write_text(target.architecture, architecture.to_json())
    target.write_text(target.drawing, draw_svg(architecture))


def _run(state: TrainState, data: Data, task: Task, recorder: TrainRecorder, processes: Processes) -> None:
    """Train to the end, or say how it ended before."""
    started, before = time.perf_counter(), recorder.seconds
    where = recorder.run.path if recorder.run else None
    precision = "fp32" if recorder.config.precision == "auto" else recorder.config.precision
    try:
        with minding_interrupts(recorder.ask_to_stop):
            train_network(state, data, task, recorder, precision=precision, processes=processes)
    except TrainingStoppedError:
        recorder.seconds = before + time.perf_counter() - started
        recorder.save(state)
        hint = f" Go on with: archgrad train {where} --resume" if where else ""
        raise KeyboardInterrupt(f"Interrupted at step {state.step}.{hint}") from None
    except NotFiniteError as error:
        recorder.warn(str(error))
        kept = f" The training's last good checkpoint is kept in {where}." if where else ""
        raise NotFiniteError(f"{error}{kept}") from None
