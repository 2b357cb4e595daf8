"""The loop of every search: updates, and at the end of an epoch a look at what was found. It knows no method."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from archgrad.engine.derivations.derive import derive, expected_mixings, project
from archgrad.engine.evaluate import child_metrics, child_mixings, supernet_metrics
from archgrad.engine.growing.extension import grow
from archgrad.engine.monitor import choice_steps, monitor
from archgrad.engine.state import SearchState
from archgrad.engine.sums import Sums
from archgrad.engine.update import Streams, stop_if_not_finite, update
from archgrad.optimisers import cosine_rate
from archgrad.processes import share_buffers

__all__ = ["Emit", "SearchStoppedError", "run_search"]

Emit = Callable[[str, SearchState, dict[str, Any]], bool | None]
"""Called with ("grown" | "step" | "epoch" | "end", state, record); True asks the loop to stop after a step or epoch."""


class SearchStoppedError(Exception):
    """A listener asked for a stop in the middle of an epoch; the state is whole and can be resumed."""


def run_search(state: SearchState, emit: Emit, made_by: dict[str, Any]) -> None:
    """Search until the last epoch, from wherever the state stands.

    Args:
        state: changed in place; between two events it is always whole.
        emit: told of every growth, step, epoch and the end; writes logs and checkpoints, shows progress.
        made_by: written into every derived architecture.

    Raises:
        NotFiniteError: a loss is not finite.
        SearchStoppedError: a listener asked for a stop at a step.
    """
    parts, streams = state.parts, Streams(state)
    while state.epoch < parts.epochs:
        started = time.perf_counter()
        for event in grow(state):
            emit("grown", state, event)
        rate = cosine_rate(parts.weights.rate, parts.weights.rate_end, state.epoch / parts.epochs)
        for group in state.weight_optimizer.param_groups:
            group["lr"] = rate
        while state.step < (state.epoch + 1) * state.steps_per_epoch:
            done = update(state, streams)
            record: dict[str, Any] = {"step": state.step, "epoch": state.epoch + 1, "rate": rate} | done.report()
            if emit("step", state, record):
                raise SearchStoppedError
        share_buffers(state.supernet)
        record = look(state, made_by) | {"rate": rate, "seconds": time.perf_counter() - started}
        # weights can break in the last step, after its loss was computed: such an epoch must not become a checkpoint
        stop_if_not_finite("validation loss", record["validation"]["loss"], f"after epoch {state.epoch + 1}")
        state.epoch += 1
        state.sums = Sums()
        if emit("epoch", state, record):
            break
    emit("end", state, {})


def look(state: SearchState, made_by: dict[str, Any]) -> dict[str, Any]:
    """Return the record of an epoch: losses, metrics of supernet and child, the derived cell, what the monitor says."""
    parts = state.parts
    progress = state.progress_after(state.epoch + 1)
    expected = expected_mixings(state.choices, parts.relaxation, progress)
    architecture = derive(state.choices, parts.relaxation, progress, parts.derivation, parts.space, made_by)
    child = child_metrics(state, child_mixings(state, progress))
    record: dict[str, Any] = {
        "epoch": state.epoch + 1,
        "loss": state.sums.mean("train"),
        "choice_loss": state.sums.mean("validation"),
        "penalties": state.sums.penalties,
        "credit": state.sums.credit,
        "validation": supernet_metrics(state, progress),
        "derived_validation": child,
        "architecture": architecture.to_dict(),
        "weights": {kind: mixing.weights.detach().cpu().tolist() for kind, mixing in expected.items()},
        "monitor": monitor(
            architecture,
            expected,
            project(expected, parts.derivation, parts.space),
            state.history,
            choice_steps(state.choice_optimizer),
            state.step,
        ),
    }
    if state.growing is not None:
        state.growing.losses.append(record["validation"]["loss"])
    state.history.append({"epoch": state.epoch + 1, "score": child, "architecture": architecture.to_dict()})
    return record
