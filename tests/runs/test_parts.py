from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from archgrad import registry
from archgrad.errors import InputError
from archgrad.runs.parts import PART_KINDS, build_part, complete_part, options_of, part_problems


@dataclass(frozen=True)
class Concrete:
    start: float = 1.0
    end: float = 0.03
    levels: tuple[int, ...] = field(default_factory=lambda: (1, 2))
    kept: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.end > self.start:
            raise InputError(f"end is {self.end}; it must be at most start, {self.start}.")


class Resource:
    def __init__(self, weight: float, *, method: str = "expectation") -> None:
        self.weight, self.method = weight, method


def anything(**options: Any) -> dict[str, Any]:
    return options


PLAIN_OBJECT = object()


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, name, target in [
        ("relaxation", "concrete", Concrete),
        ("penalty", "resource", Resource),
        ("penalty", "anything", anything),
        ("penalty", "object", PLAIN_OBJECT),
    ]:
        monkeypatch.setitem(registry.PARTS[kind], name, target)


def test_every_kind_of_part_is_registered() -> None:
    assert set(PART_KINDS.values()) <= set(registry.PARTS)


def test_options_are_fields_or_arguments() -> None:
    concrete, resource = options_of("relaxation", "concrete"), options_of("penalty", "resource")
    assert concrete is not None
    assert list(concrete) == ["start", "end", "levels"]
    assert concrete["levels"].default == (1, 2)
    assert resource is not None
    assert resource["weight"].default is dataclasses.MISSING
    assert [option.keyword_only for option in resource.values()] == [False, True]
    assert options_of("penalty", "anything") is None
    assert options_of("penalty", "object") == {}


def test_a_part_is_built_with_the_types_of_its_options() -> None:
    assert build_part("relaxation", {"name": "concrete", "start": 2, "levels": [3]}) == Concrete(start=2.0, levels=(3,))
    assert build_part("relaxation", {"name": "concrete"}) == Concrete()
    assert build_part("penalty", {"name": "resource", "weight": 1}).weight == 1.0
    assert build_part("penalty", {"name": "anything", "x": 1}) == {"x": 1}
    assert build_part("penalty", {"name": "object"}) is PLAIN_OBJECT


def test_all_problems_of_a_part_are_listed_at_once() -> None:
    problems = part_problems(
        "relaxation", {"name": "concrete", "strat": 1, "end": "low", "levels": [1, "x"]}, "relaxation"
    )
    assert problems == [
        "relaxation.strat: there is no such option of relaxation 'concrete'. Did you mean relaxation.start? "
        "Allowed: end, levels, start.",
        "relaxation.end must be a number; got 'low' (text).",
        "relaxation.levels must be a list (each a whole number); got [1, 'x'].",
    ]
    with pytest.raises(InputError, match=r"(?s)relaxation cannot be built, 3 problems.*strat.*end.*levels"):
        build_part("relaxation", {"name": "concrete", "strat": 1, "end": "low", "levels": [1, "x"]})


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("relaxation", {"name": "concret"}, "Unknown relaxation 'concret'. Did you mean 'concrete'"),
        ("relaxation", {"name": 3}, "Unknown relaxation '3'"),
        ("relaxation", {"start": 1}, "where.name: say which relaxation it is. Allowed: clipped, concrete"),
        ("relaxation", {"name": "concrete", "kept": 1}, "where.kept: there is no such option"),
        ("relaxation", {"name": "concrete", "end": 2}, "where: end is 2.0; it must be at most start"),
        ("penalty", {"name": "resource"}, "where.weight: penalty 'resource' needs this option"),
        ("penalty", {"name": "object", "x": 1}, "where.x: there is no such option"),
    ],
)
def test_a_wrong_part_is_said_with_its_path(kind: str, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        build_part(kind, spec, "where")
    assert words in str(caught.value)


def test_defaults_are_written_out_as_plain_data() -> None:
    assert complete_part("relaxation", {"name": "concrete", "end": 0.1}) == {
        **{"name": "concrete", "end": 0.1, "start": 1.0},
        "levels": [1, 2],
    }


def test_the_completed_spec_of_every_registered_part_is_right_and_builds_the_same() -> None:
    for kind in sorted(set(PART_KINDS.values()) - {"penalty"}):
        for name in registry.names(kind):
            complete = complete_part(kind, {"name": name})
            assert part_problems(kind, complete, kind) == []
            assert type(build_part(kind, complete)) is type(build_part(kind, {"name": name}))
