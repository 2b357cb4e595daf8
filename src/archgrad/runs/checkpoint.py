"""Checkpoints: folders written aside and renamed into place, verified when read, and never unpickled.

A checkpoint ``checkpoints/epoch-0007`` holds ``state.json`` (everything but tensors), ``state.safetensors`` (the heavy
tensors), ``choices.safetensors`` (the light part: what deriving again needs) and ``manifest.json`` (size and SHA-256
of each). Every checkpoint keeps its light part; :func:`prune` removes the heavy file of all but the newest.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from archgrad._version import __version__
from archgrad.errors import RunError
from archgrad.runs.manifest import (
    FORMAT,
    MANIFEST,
    Manifest,
    damaged,
    encode,
    read_json,
    read_manifest,
    verified,
    write,
)
from archgrad.runs.tree import Tree, join, split
from archgrad.runs.writing import LEFTOVER, sync_folder, write_atomically, writing

__all__ = ["Newest", "epoch_name", "load", "load_light", "load_newest", "names", "prune", "save"]

_STATE, _HEAVY, _LIGHT = "state.json", "state.safetensors", "choices.safetensors"
_REPLACED = ".replaced"


class Newest(NamedTuple):
    """What :func:`load_newest` found.

    Attributes:
        name: the checkpoint that was read.
        tree: its state.
        skipped: one message for each newer checkpoint that is damaged, newest first.
    """

    name: str
    tree: Tree
    skipped: list[str]


def epoch_name(epoch: int, prefix: str = "epoch-") -> str:
    """Return the name of the checkpoint after an epoch: ``epoch_name(7)`` is ``"epoch-0007"``."""
    return f"{prefix}{epoch:04d}"


def names(parent: Path, prefix: str = "epoch-") -> list[str]:
    """Return the checkpoints in a folder, oldest first; none when the folder does not exist.

    Args:
        parent: the folder of checkpoints.
        prefix: how the names start before their number, so that two phases can share a folder.
    """
    pattern = re.compile(re.escape(prefix) + r"(\d+)")
    found = [(int(match[1]), path.name) for path in _folders(parent) if (match := pattern.fullmatch(path.name))]
    return [name for _, name in sorted(found)]


def save(parent: Path, name: str, tree: Tree, light: Tree = None) -> Path:
    """Write a checkpoint; until it is whole it does not exist under its name.

    Args:
        parent: the folder of checkpoints; made if missing.
        name: the checkpoint's name; one that exists is replaced.
        tree: the whole state, a :data:`~archgrad.runs.tree.Tree`.
        light: the part that stays for good: the choices and the description that deriving again needs.

    Returns:
        The checkpoint's folder.

    Raises:
        RunError: the disk is full or the folder cannot be written; all earlier checkpoints are as they were.
        TypeError: the state holds something that cannot be kept.
    """
    state, heavy_tensors = split(tree)
    described, light_tensors = split(light)
    contents = {
        _STATE: encode({"format": FORMAT, "state": state, "light": described}),
        _HEAVY: tensors_to_bytes(heavy_tensors),
        _LIGHT: tensors_to_bytes(light_tensors),
    }
    target, aside = parent / name, parent / f".{name}{LEFTOVER}"
    with writing(target, sum(map(len, contents.values()))):
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _clean(parent)
            aside.mkdir()
            files = {file: write(aside / file, data) for file, data in contents.items()}
            write(aside / MANIFEST, encode({"format": FORMAT, "version": __version__, "name": name, "files": files}))
            sync_folder(aside)
            _put(aside, target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return target


def load(folder: Path) -> Tree:
    """Return the whole state of one checkpoint, bit for bit as it was saved, tensors on the CPU.

    Raises:
        RunError: it is truncated or damaged, or only its light part was kept; the message names the file.
    """
    manifest = read_manifest(folder)
    if _HEAVY not in manifest:
        raise RunError(f"Of checkpoint {folder} only the choices were kept: derive from it, or load a newer one.")
    return _part(folder, manifest, "state", _HEAVY)


def load_light(folder: Path) -> Tree:
    """Return the part of a checkpoint that stays for good, as it was given to :func:`save`.

    Raises:
        RunError: it is missing, truncated or damaged; the message names the file.
    """
    return _part(folder, read_manifest(folder), "light", _LIGHT)


def load_newest(parent: Path, prefix: str = "epoch-") -> Newest:
    """Return the newest checkpoint that is whole.

    Nothing is deleted: what a crash left half written is passed over here and removed by the next :func:`save`.

    Args:
        parent: the folder of checkpoints.
        prefix: which checkpoints count, as in :func:`names`.

    Raises:
        RunError: there is none, or none is left; every damaged one is named.
    """
    found = names(parent, prefix)
    if not found:
        raise RunError(f"There is no checkpoint in {parent} yet; start the run again from its beginning.")
    skipped: list[str] = []
    pruned = 0
    for name in reversed(found):
        try:
            manifest = read_manifest(parent / name)
            if _HEAVY in manifest:
                return Newest(name, _part(parent / name, manifest, "state", _HEAVY), skipped)
            pruned += 1
        except RunError as error:
            skipped.append(str(error))
    rest = f" Of {pruned} older ones only the choices were kept: deriving from them still works." if pruned else ""
    raise RunError(f"No checkpoint in {parent} is left to resume from. {' '.join(skipped)}{rest}")


def prune(parent: Path, keep: int = 2, prefix: str = "epoch-") -> None:
    """Remove the heavy file of all but the newest checkpoints; the light parts stay.

    Args:
        parent: the folder of checkpoints.
        keep: how many stay whole; 2, so that one is left if the newest turns out damaged.
        prefix: which checkpoints count, as in :func:`names`.

    Raises:
        RunError: a file cannot be written or removed.
    """
    found = names(parent, prefix)
    for name in found[: max(len(found) - keep, 0)]:
        folder = parent / name
        try:
            manifest = read_manifest(folder)
        except RunError:
            continue  # a damaged one is left as evidence
        if manifest.pop(_HEAVY, None) is not None:
            # The manifest goes first: a crash in between leaves a file too many, not a checkpoint that looks damaged.
            document = {"format": FORMAT, "version": __version__, "name": name, "files": manifest}
            write_atomically(folder / MANIFEST, encode(document))
        with writing(folder / _HEAVY, 0):
            (folder / _HEAVY).unlink(missing_ok=True)


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _put(aside: Path, target: Path) -> None:
    """Rename a finished folder into place, moving one of the same name out of the way first."""
    replaced = target.with_name(f".{target.name}{_REPLACED}")
    if target.exists():
        os.rename(target, replaced)
    try:
        os.rename(aside, target)
    except BaseException:
        if replaced.exists():
            os.rename(replaced, target)
        raise
    sync_folder(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _clean(parent: Path) -> None:
    """Remove what a crash left half written, and bring back a checkpoint whose replacement never arrived."""
    for path in _folders(parent):
        if path.name.startswith(".") and path.name.endswith(_REPLACED):
            target = path.with_name(path.name[1 : -len(_REPLACED)])
            if target.exists():
                shutil.rmtree(path)
            else:
                os.rename(path, target)
        elif path.name.startswith(".") and path.name.endswith(LEFTOVER):
            shutil.rmtree(path)


def _part(folder: Path, manifest: Manifest, part: str, tensor_file: str) -> Any:
    """Read and join one part of a checkpoint."""
    document = read_json(folder, _STATE, verified(folder, manifest, _STATE))
    data = verified(folder, manifest, tensor_file)
    try:
        return join(document[part], tensors_from_bytes(data))
    except (SafetensorError, ValueError, KeyError) as error:
        raise damaged(folder, tensor_file, f"and {_STATE} do not fit together ({error})") from error
