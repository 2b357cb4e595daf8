"""``derive``: the architecture that a checkpoint's choices stand for, with any rule, without searching again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archgrad.api.derive_best import best_epoch
from archgrad.api.settings import dotted
from archgrad.architecture import Architecture
from archgrad.choices import Progress
from archgrad.engine.derivations.derive import derive as derive_cells
from archgrad.engine.derivations.selection import Selects
from archgrad.errors import InputError, RunError
from archgrad.recipes.assemble import describe, make_choices
from archgrad.recipes.compatible import check_compatible
from archgrad.recipes.forms import form_at
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig, resolve
from archgrad.runs.directory import RunDirectory
from archgrad.runs.log import read
from archgrad.runs.parts import build_part

__all__ = ["derive"]


def derive(
    run: str | Path,
    *,
    rule: str | Mapping[str, Any] | None = None,
    epoch: int | None = None,
    best: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Architecture:
    """Derive an architecture from a checkpoint of a run; nothing is written.

    With the run's own rule and its last epoch this is the architecture that the search wrote, byte for byte; otherwise
    ``made_by`` also says which rule or epoch it was.

    Args:
        run: the run directory.
        rule: a derivation rule in place of the run's: its name, or its name and options (``{"name": "top-edges",
            "k": 1}``).
        epoch: how many epochs were done at the checkpoint to derive from, 1 or more; the newest checkpoint if None.
        best: take the epoch whose derived cell was worth most on held-out data, see
            :func:`archgrad.api.derive_best.best_epoch`, which says why.
        settings: dotted paths, as ``--set``, for the rule's options: ``{"derivation.k": 1}``.

    Raises:
        InputError: no run, no such rule, option or epoch, or a damaged checkpoint; the message says which are whole.
    """
    if best and not (rule is None and epoch is None and not settings):
        raise InputError("The best epoch is chosen among the cells of the run's own rule: leave rule and epoch out.")
    directory = RunDirectory.open(run)
    epoch = best_epoch(run).epoch if best else epoch
    stored = directory.read_config()
    config = _with_rule(stored, rule, settings)
    number, light = _checkpoint(directory, epoch)
    space, relaxation, choices = make_choices(stored, form_at(stored, light))
    try:
        choices.load_state_dict(light["choices"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The checkpoint of epoch {number} in {run} does not fit the space and relaxation in its config.yaml: "
            "one of the two was changed after the search."
        ) from error
    share = number / stored.epochs  # an epoch's checkpoint stands at its end, where both clocks agree
    made_by = describe(stored)
    if config.derivation != stored.derivation:
        made_by["rule"] = config.derivation.spec()
    if number != _ended(directory):
        made_by["epoch"] = number
    derivation = build_part("derivation", config.derivation.spec())
    if isinstance(derivation, Selects):
        if made_by == describe(stored):
            return Architecture.load(directory.architecture)
        raise InputError(
            f"The rule {config.derivation.name} decides with the supernet's weights and held-out data when a search "
            f"ends, and derive reads the choices alone. Search with --set derivation={config.derivation.name}, or "
            "name another rule, such as --rule top-edges."
        )
    return derive_cells(choices, relaxation, Progress(elapsed=share, epoch=share), derivation, space, made_by)


def _with_rule(
    stored: SearchConfig, rule: str | Mapping[str, Any] | None, settings: Mapping[str, Any] | None
) -> SearchConfig:
    """Return the run's configuration with another rule."""
    given = dotted(settings)
    others = sorted(given.keys() - {"derivation"})
    if others:
        raise InputError(
            f"derive changes the derivation alone, not {', '.join(others)}: e.g. derivation.k=1. "
            "Everything else was decided by the search."
        )
    layer: dict[str, Any] = {} if rule is None else {"derivation": dict(rule) if isinstance(rule, Mapping) else rule}
    wanted = resolve(stored.model_dump(), layer, given)
    check_compatible(wanted)
    return wanted


def _checkpoint(directory: RunDirectory, epoch: int | None) -> tuple[int, Mapping[str, Any]]:
    """Return how many epochs were done at a checkpoint, and its light part."""
    there = {int(name.rpartition("-")[2]): name for name in checkpoint.names(directory.checkpoints)}
    if not there:
        raise InputError(
            f"The run {directory.path} has no checkpoint to derive from yet: its first epoch is not done. "
            f"Go on with it: archgrad search --resume --run {directory.path}"
        )
    number = max(there) if epoch is None else epoch
    if number not in there:
        raise InputError(f"The run {directory.path} has no checkpoint of epoch {number}. There are: {_spans(there)}.")
    try:
        light = checkpoint.load_light(directory.checkpoints / there[number])
        if not isinstance(light, dict):
            raise RunError(f"Checkpoint {directory.checkpoints / there[number]} holds no choices.")
    except RunError as error:
        others = _spans(other for other in there if other != number)
        instead = f"Derive from another epoch with --epoch: {others}." if others else "There is no other."
        raise InputError(f"{error} {instead}") from error
    return number, light


def _ended(directory: RunDirectory) -> int | None:
    """Return how many epochs a finished search did; None if it did not finish."""
    if not directory.log.is_file():
        return None
    events = [event for event in read(directory.log) if event.get("phase") == "search"]
    if not any(event.get("event") == "end" for event in events):
        return None
    return len([event for event in events if event.get("event") == "epoch"])


def _spans(numbers: Any) -> str:
    """Return numbers in few words: ``1 to 7, 9``."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
