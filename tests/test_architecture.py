"""The architecture file: writing and reading lose nothing, and what is wrong in a file is said with its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.errors import InputError, RunError
from archgrad.published import published
from archgrad.space.darts import DARTS_OPERATIONS

finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=5)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    inputs, nodes = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    last = inputs + nodes - 1
    ends = st.integers(inputs, last).flatmap(lambda target: st.tuples(st.integers(0, target - 1), st.just(target)))
    edge = st.builds(
        lambda pair, operation, operand: Edge(pair[0], pair[1], operation, operand),
        ends,
        st.sampled_from(DARTS_OPERATIONS),
        st.sampled_from([None, "a", "b"]),
    )
    edges = tuple(draw(st.lists(edge, max_size=6)))
    return Cell(
        inputs=inputs,
        nodes=nodes,
        edges=edges,
        output=tuple(draw(st.lists(st.integers(0, last), min_size=1, max_size=4))),
        output_combine=draw(st.sampled_from(["concat", "mean", "last", "learned"])),
        weights=draw(st.none() | st.tuples(*[finite] * len(edges))),
        combine=draw(st.none() | st.tuples(*[st.sampled_from(["add", "multiply"])] * nodes)),
    )


architectures = st.builds(
    Architecture,
    space=st.just("darts"),
    cells=st.dictionaries(words, cells(), min_size=1, max_size=2),
    network=st.fixed_dictionaries({"pool_norm": st.booleans(), "node_norm": st.booleans()}),
    made_by=st.dictionaries(words, plain_values, max_size=3),
)


def backwards(value: Any) -> Any:
    """Return equal plain data with the names of every object in the opposite order."""
    if isinstance(value, dict):
        return {name: backwards(value[name]) for name in reversed(value)}
    return [backwards(entry) for entry in value] if isinstance(value, list) else value


@given(architectures)
def test_equal_architectures_give_equal_text(architecture: Architecture) -> None:
    again = Architecture.from_dict(backwards(json.loads(architecture.to_json())))
    assert again == architecture
    assert again.to_json() == architecture.to_json()


@given(architectures)
def test_reading_what_was_written_gives_the_same_thing_and_the_same_text(architecture: Architecture) -> None:
    text = architecture.to_json()
    again = Architecture.from_dict(json.loads(text))
    assert again == architecture
    assert again.to_json() == text


def test_a_file_is_read_back_byte_for_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    published("SNAS_MILD").save(first)
    Architecture.load(first).save(second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().endswith(b"}\n")


def test_the_file_has_the_documented_form() -> None:
    cell = Cell(2, 2, (Edge(0, 2, "skip_connect"), Edge(1, 3, "none", "a")), (2, 3), weights=(1.0, 0.5))
    architecture = Architecture("darts", {"normal": cell}, made_by={"recipe": "darts", "seed": 3})
    assert json.loads(architecture.to_json()) == {
        "schema": 1,
        "space": "darts",
        "cells": {
            "normal": {
                "inputs": 2,
                "nodes": 2,
                "edges": [[0, 2, "skip_connect"], [1, 3, "none", "a"]],
                "output": [2, 3],
                "output_combine": "concat",
                "weights": [1.0, 0.5],
            }
        },
        "network": {"pool_norm": False, "node_norm": False},
        "made_by": {"recipe": "darts", "seed": 3},
    }


def good() -> dict[str, Any]:
    return copy.deepcopy(published("DARTS_V2").to_dict())


def test_what_may_be_left_out_gets_its_default() -> None:
    plain = good()
    del plain["network"], plain["made_by"], plain["cells"]["normal"]["output_combine"]
    architecture = Architecture.from_dict(plain)
    assert architecture.network == {"pool_norm": False, "node_norm": False}
    assert architecture.made_by == {}
    assert architecture.cells["normal"].output_combine == "concat"


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that sets one place of the plain data; "a.0.b" goes through dictionaries and lists."""

    def change(plain: dict[str, Any]) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place: Any = plain
        for step in way:
            place = place[step]
        place[last] = value

    return change


EDGE = "cells.normal.edges.1"
WRONG = {
    "another schema": (put("schema", 2), r"has schema 2; this version reads schema 1"),
    "no schema": (put("schema", None), r"has schema None"),
    "unknown space": (put("space", "dart"), r"space 'dart' is unknown \(did you mean 'darts'\?\); allowed: darts"),
    "space is a list": (put("space", ["darts"]), r"space '\['darts'\]' is unknown"),
    "no cells": (put("cells", {}), r"cells must be an object with one cell per kind"),
    "cells are a list": (put("cells", []), r"cells must be an object"),
    "cell is a list": (put("cells.normal", []), r"cells\.normal must be an object"),
    "no inputs": (put("cells.normal.inputs", 0), r"cells\.normal\.inputs is 0; .* at least 1"),
    "inputs true": (put("cells.normal.inputs", True), r"cells\.normal\.inputs is True"),
    "nodes fractional": (put("cells.reduce.nodes", 4.0), r"cells\.reduce\.nodes is 4\.0"),
    "edges missing": (put("cells.normal.edges", None), r"cells\.normal needs the lists edges and output"),
    "output missing": (put("cells.normal.output", 3), r"cells\.normal needs the lists edges and output"),
    "edge too short": (put(EDGE, [0, 2]), r"cells\.normal\.edges\[1\] is \[0, 2\]; it must be \[source, target"),
    "edge too long": (put(EDGE, [0, 2, "none", "a", 1]), r"cells\.normal\.edges\[1\] is"),
    "edge a number": (put(EDGE, 7), r"cells\.normal\.edges\[1\] is 7"),
    "operation a number": (put(EDGE, [0, 2, 3]), r"cells\.normal\.edges\[1\] is"),
    "source a word": (put(EDGE, ["0", 2, "none"]), r"cells\.normal\.edges\[1\]: source and target must be node"),
    "backward edge": (put(EDGE, [3, 3, "none"]), r"cells\.normal\.edges\[1\]: source 3 is not before its target 3"),
    "negative source": (put(EDGE, [-1, 3, "none"]), r"edges\[1\]: source -1 is not before its target 3"),
    "into an input": (put(EDGE, [0, 1, "none"]), r"edges\[1\]: target 1 is not a computed node \(2 to 5\)"),
    "beyond the last": (put(EDGE, [0, 6, "none"]), r"edges\[1\]: target 6 is not a computed node \(2 to 5\)"),
    "unknown operation": (
        put(EDGE, [0, 2, "sep_conv_3x"]),
        r"cells\.normal\.edges\[1\]: operation 'sep_conv_3x' is unknown \(did you mean 'sep_conv_3x3'\?\); allowed: ",
    ),
    "unknown operand": (put(EDGE, [0, 2, "none", "c"]), r"edges\[1\]: operand 'c' must be"),
    "operand a list": (put(EDGE, [0, 2, "none", ["a"]]), r"edges\[1\]: operand \['a'\] must be"),
    "no output": (put("cells.normal.output", []), r"cells\.normal\.output is \[\]; it must name nodes from 0 to 5"),
    "output beyond": (put("cells.normal.output", [2, 6]), r"cells\.normal\.output is \[2, 6\]"),
    "output combine": (put("cells.normal.output_combine", "sum"), r"output_combine 'sum' is unknown; allowed: concat"),
    "weights too few": (put("cells.normal.weights", [1.0]), r"normal\.weights must be one finite number for each of"),
    "weights nan": (put("cells.normal.weights", [float("nan")] * 8), r"cells\.normal\.weights must be one finite"),
    "weights infinite": (put("cells.normal.weights", [float("inf")] * 8), r"cells\.normal\.weights must be one"),
    "weights too large": (put("cells.normal.weights", [10**400] * 8), r"cells\.normal\.weights must be one finite"),
    "weights words": (put("cells.normal.weights", ["1"] * 8), r"cells\.normal\.weights must be one finite"),
    "combine too few": (put("cells.normal.combine", ["add"]), r"cells\.normal\.combine must be one of add, multiply"),
    "combine unknown": (put("cells.normal.combine", ["sub"] * 4), r"cells\.normal\.combine must be one of"),
    "network a list": (put("network", [1]), r"network must be an object"),
    "flag a word": (put("network.pool_norm", "false"), r"network\.pool_norm is 'false'; it must be true or false"),
    "made by a word": (put("made_by", "me"), r"made_by must be an object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_place(name: str) -> None:
    change, message = WRONG[name]
    plain = good()
    change(plain)
    with pytest.raises(InputError, match=message) as caught:
        Architecture.from_dict(plain, where="cell.json")
    assert "cell.json" in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_problems_are_listed_at_once() -> None:
    plain = good()
    put("cells.normal.edges.0", [0, 2, "sep"])(plain)
    put("cells.reduce.nodes", 0)(plain)
    put("space", "dart")(plain)
    with pytest.raises(InputError, match="3 problems") as caught:
        Architecture.from_dict({**plain, "network": 3} | {"space": "darts"})
    assert {line.split()[1] for line in str(caught.value).splitlines()[1:]} == {
        "cells.normal.edges[0]:",
        "cells.reduce.nodes",
        "network",
    }


@given(plain_values)
def test_nonsense_is_refused_and_never_crashes(plain: Any) -> None:
    with pytest.raises(InputError):
        Architecture.from_dict(plain)


@given(st.data())
def test_a_right_file_with_any_one_value_replaced_is_read_or_refused(data: st.DataObject) -> None:
    plain = good()
    place: Any = plain
    key: Any = data.draw(st.sampled_from(sorted(plain)))
    while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(plain_values)
    try:
        architecture = Architecture.from_dict(plain)
    except InputError:
        return
    assert Architecture.from_dict(architecture.to_dict()) == architecture


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1, "made_by": {"score": NaN}}', b"[1" + b"0" * 5000 + b"]"],
    ids=["empty", "cut off", "not text", "deep", "not a number", "a huge number"],
)
def test_a_file_that_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cell.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cell\.json is not a JSON file"):
        Architecture.load(path)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read the architecture .*missing\.json: No such file"):
        Architecture.load(tmp_path / "missing.json")
    with pytest.raises(InputError, match="Is a directory"):
        Architecture.load(tmp_path)
    with pytest.raises(RunError, match="Cannot write the architecture"):
        published("DARTS_V1").save(tmp_path / "no" / "cell.json")
