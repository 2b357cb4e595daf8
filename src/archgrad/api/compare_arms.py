"""The arms of a comparison: recipes with settings of their own, and the folders that their runs lie in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from archgrad import registry
from archgrad.api.settings import dotted, search_config
from archgrad.errors import InputError, several
from archgrad.runs.config import SearchConfig, merge, parse_set
from archgrad.runs.directory import RunDirectory

__all__ = ["Arm", "ArmGiven", "arm_config", "differences", "folder_name", "read_arm", "read_arms", "refuse_others"]

ArmGiven = str | tuple[str, Mapping[str, Any]]
"""A recipe with settings of its own: ``"darts epochs=5"`` in words, ``("darts", {"epochs": 5})`` as a pair."""

READABLE = 60
"""Characters of a name that are kept in a folder's."""

FOR_ALL = {"seed": "--seeds", "device": "--device", "recipe": "the arm's first word"}
"""Settings that no arm has of its own, and what gives them."""

UNDECIDING = {"command", "version", "device", "citation"}
"""What of a run's configuration does not decide its result."""


@dataclass(frozen=True)
class Arm:
    """One of the things that are compared.

    Args:
        name: as it is shown.
        recipe: name of a recipe.
        settings: a layer of settings over those of all arms.
    """

    name: str
    recipe: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def folder(self, path: Path, seed: int) -> Path:
        """Return where the run with this seed lies in the folder of a comparison."""
        return path / f"{folder_name(self.name)}-s{seed}"


def read_arms(given: Sequence[ArmGiven] | Mapping[str, ArmGiven] | str) -> list[Arm]:
    """Return the arms that are meant; the first is the one that the others are held against.

    Args:
        given: arms in words or as pairs, or name -> arm.

    Raises:
        InputError: no arm, one that cannot be read, or two that cannot be told apart.
    """
    named = given.items() if isinstance(given, Mapping) else ((None, arm) for arm in _listed(given))
    arms = [read_arm(arm, name) for name, arm in named]
    if not arms:
        raise InputError("compare needs at least one recipe, e.g. archgrad compare darts random --seeds 5.")
    seen: dict[str, Arm] = {}
    for arm in arms:
        if not arm.name.strip():
            raise InputError("An arm has an empty name; give it one, such as 'clipped: darts relaxation=clipped'.")
        # folders whose names differ in case alone are one folder on some systems
        other = seen.setdefault(folder_name(arm.name).casefold(), arm)
        if other is not arm:
            raise InputError(
                f"The arms '{other.name}' and '{arm.name}' cannot be told apart by name; name one of them: "
                f"'NAME: {arm.recipe} ...'."
            )
    return arms


def read_arm(given: ArmGiven, name: str | None = None) -> Arm:
    """Return one arm.

    Args:
        given: in words ``[NAME: ]RECIPE [key=value]...``, quoted like a shell's, or recipe and settings.
        name: in place of the one in the words, which is otherwise the words themselves.

    Raises:
        InputError: it cannot be read, there is no such recipe, or it sets what belongs to the whole comparison.
    """
    words, settings = _words(given) if isinstance(given, str) else _pair(given)
    title, recipe = words
    if recipe not in registry.names("recipe"):
        registry.get("recipe", recipe)  # raises, with the nearest match
    problems = [f"{key} is one for all arms: {instead}." for key, instead in FOR_ALL.items() if key in settings]
    if "spec" in settings.get("data", {}):
        problems.append("data.spec is one for all arms: --data.")
    if problems:
        raise several(f"The settings of the arm '{name or title}' are not right", problems)
    return Arm(name or title, recipe, settings)


def _listed(given: Sequence[ArmGiven] | str) -> Iterable[ArmGiven]:
    return [given] if isinstance(given, str) else given


def _words(given: str) -> tuple[tuple[str, str], dict[str, Any]]:
    """Return name and recipe, and the settings, of an arm in words."""
    name, colon, rest = given.partition(": ")
    if not colon or "=" in name:  # a colon within a setting, such as derivation={name: top-edges}
        name, rest = "", given
    try:
        recipe, *settings = shlex.split(rest)
    except ValueError as error:
        reason = "it names no recipe" if not rest.strip() else f"{error}".rstrip(".").lower()
        raise InputError(
            f"The arm '{given}' cannot be read: {reason}. It is '[NAME: ]RECIPE [key=value]...'."
        ) from error
    if "=" in recipe:
        raise InputError(f"The arm '{given}' begins with a setting; its recipe comes first: 'darts {rest.strip()}'.")
    try:
        layer = parse_set(settings)
    except InputError as error:
        raise InputError(
            f"The arm '{given}' cannot be read. {error}".replace("--set is", "Its settings are")
        ) from error
    return (name.strip() or " ".join(given.split()), recipe), layer


def _pair(given: tuple[str, Mapping[str, Any]]) -> tuple[tuple[str, str], dict[str, Any]]:
    """Return name and recipe, and the settings, of an arm that is a pair."""
    if not (
        isinstance(given, Sequence) and len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], Mapping)
    ):
        raise InputError(
            f"An arm is a recipe, or (recipe, settings) such as ('darts', {{'epochs': 5}}); got {given!r}."
        )
    recipe, settings = given
    layer = merge(dotted(settings))
    return (" ".join([recipe, *(f"{path}={value}" for path, value in settings.items())]), recipe), layer


def folder_name(name: str) -> str:
    """Return a name that is safe as a folder's on every system: readable, the same every time, unlike other names'."""
    safe = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name).strip("-.")[:READABLE].rstrip("-.")
    return safe if safe == name else f"{safe}-{sha256(name.encode()).hexdigest()[:6]}".lstrip("-")


def arm_config(arm: Arm, *, epochs: int | None, space: str | None, settings: Mapping[str, Any], **given: Any) -> Any:
    """Return the checked configuration of an arm's runs, for seed 0.

    Args:
        arm: its own settings count more than those of all arms.
        epochs: of every search; an arm that sets its own, and a recipe that fixes them (``random``), keeps them.
        space: of every search; an arm that sets its own keeps it.
        settings: of all arms, a layer.
        **given: further arguments of :func:`archgrad.api.settings.search_config`.

    Raises:
        InputError: anything is wrong in the settings; all problems of this arm are listed.
    """
    own = {"epochs"} if registry.get("recipe", arm.recipe).keeps_epochs else set()
    single = {"epochs": epochs, "space": space}
    single = {key: value for key, value in single.items() if key not in own | arm.settings.keys()}
    try:
        return search_config(arm.recipe, **given, **single, settings=merge(settings, arm.settings), seed=0)
    except InputError as error:
        raise InputError(f"The arm '{arm.name}': {error}") from error


def refuse_others(runs: Iterable[tuple[Path, SearchConfig]]) -> None:
    """Refuse folders that hold runs with other settings than those wanted there.

    Raises:
        InputError: there are some; what differs is listed.
    """
    problems = []
    for folder, wanted in runs:
        if not (folder / "config.yaml").exists():
            continue
        changed = list(differences(RunDirectory.open(folder).read_config(), wanted))
        if changed:
            problems.append(f"{folder}: {'; '.join(changed)}.")
    if problems:
        raise several(
            "There are runs with other settings under these names; name the changed arms ('NAME: RECIPE ...'), or give "
            "another --run",
            problems,
        )


def differences(stored: SearchConfig, wanted: SearchConfig) -> Iterator[str]:
    """Yield in words every setting in which two configurations differ, if it decides the result."""
    before, after = (dict(_flat(config.model_dump(exclude=UNDECIDING))) for config in (stored, wanted))
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield f"{key} is {before.get(key)!r} there, not {after.get(key)!r}"


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
