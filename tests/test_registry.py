"""The registry: names lead to parts, unknown names to the nearest one, and users add their own."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from archgrad import registry
from archgrad.engine.schedules.schedule import Never
from archgrad.errors import InputError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put the registry back as it was."""
    kept = {kind: copy.copy(parts) for kind, parts in registry.PARTS.items()}
    yield
    for kind, parts in kept.items():
        registry.PARTS[kind].clear()
        registry.PARTS[kind].update(parts)


def test_names_are_sorted_and_lead_to_objects() -> None:
    assert registry.names("schedule") == tuple(sorted(registry.PARTS["schedule"]))
    assert registry.get("schedule", "never") is Never


def test_unknown_names_show_the_nearest_and_all() -> None:
    with pytest.raises(
        InputError, match=r"Unknown schedule 'alway'\. Did you mean 'always'\? Allowed: always, every, "
    ):
        registry.get("schedule", "alway")
    with pytest.raises(InputError, match=r"Unknown schedule 'xyz' in config\.yaml\. Allowed"):
        registry.get("schedule", "xyz", where="config.yaml")
    with pytest.raises(InputError, match="Unknown kind of part 'scedule'.*Did you mean 'schedule'"):
        registry.names("scedule")


def test_users_register_objects_or_places() -> None:
    registry.register("schedule", "rarely", Never)
    registry.register("schedule", "by-name", "archgrad.engine.schedules.schedule:Every")
    assert registry.get("schedule", "rarely") is Never
    assert registry.get("schedule", "by-name").__name__ == "Every"
    assert "rarely" in registry.names("schedule")
    with pytest.raises(InputError, match="There is a schedule 'never' already"):
        registry.register("schedule", "never", Never)
    with pytest.raises(InputError, match="Unknown kind of part 'plan'"):
        registry.register("plan", "mine", Never)
