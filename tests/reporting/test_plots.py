"""The curves show the numbers of the log, with the same bytes each time, and junk in a log is no failure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy
import pytest
from tests.reporting.runs import make_run

from archgrad.reporting import choice_plots, credit_plots, monitor_plots, plots
from archgrad.reporting.figures import LINES, panels, render, style
from archgrad.reporting.record import Record, read_record

PLOTS: dict[str, Callable[[Record, str], str | None]] = {
    "losses": plots.losses,
    "validation": plots.validation,
    "monitor": monitor_plots.monitor,
    "schedule": monitor_plots.schedule,
    "penalties": monitor_plots.penalties,
    "training_loss": plots.training_loss,
    "training_scores": plots.training_scores,
    "weights": lambda record, name: choice_plots.weights(record, "normal", name),
    "operations": lambda record, name: choice_plots.operations(record, "reduce", name),
    "credit": lambda record, name: credit_plots.credit(record, "normal", name),
    "comparison": lambda record, name: plots.comparison([record, record], ["a", "b"], name),
}
JUNK: list[Any] = [
    None,
    "x",
    "NaN",
    True,
    [],
    {},
    [[]],
    [[None]],
    {"normal": [[1, "x"], "y", []]},
    {"a": {"b": 1}},
    1e300,
]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(make_run(tmp_path_factory.mktemp("plots") / "run", epochs=12, train=9))


def curve(svg: str, colour: str, points: int) -> numpy.ndarray[Any, Any]:
    """Return the corners of the one line of that colour and length, in pixels."""
    found = []
    for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"):
        if f"stroke: {colour}" in path.get("style", ""):
            corners = [tuple(map(float, pair)) for pair in re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])]
            if len(corners) == points:
                found.append(corners)
    assert len(found) == 1
    return numpy.array(found[0])


def assert_shows(line: numpy.ndarray[Any, Any], x: list[float], y: list[float]) -> None:
    """Assert that pixels depend on the numbers as on a linear axis, the vertical one pointing up."""
    for pixels, numbers, sign in ((line[:, 0], x, 1), (line[:, 1], y, -1)):
        slope, offset = numpy.polyfit(numbers, pixels, 1)
        assert slope * sign > 0
        assert numpy.abs(slope * numpy.array(numbers) + offset - pixels).max() < 1e-3


def test_curves_show_the_logged_numbers(record: Record) -> None:
    epochs, trained = record.epochs("search"), record.epochs("train")
    numbers = [event["epoch"] for event in epochs]
    svg = plots.losses(record, "p") or ""
    assert_shows(curve(svg, LINES[0], 12), numbers, [event["loss"] for event in epochs])
    assert_shows(curve(svg, LINES[1], 12), numbers, [event["choice_loss"] for event in epochs])
    steps = [event["loss"] for event in record.steps("search")]
    assert_shows(curve(svg, LINES[0], 48), [0.5 + (k + 0.5) / 4 for k in range(48)], steps)
    svg = plots.validation(record, "p") or ""
    assert_shows(curve(svg, LINES[1], 12), numbers, [event["derived_validation"]["accuracy"] for event in epochs])
    svg = plots.training_scores(record, "p") or ""
    assert_shows(curve(svg, LINES[0], 9), list(range(1, 10)), [event["train_accuracy"] for event in trained])
    svg = monitor_plots.monitor(record, "p") or ""
    corners = ElementTree.fromstring(svg)
    assert {"entropy", "skip share"} <= set(corners.itertext()) and "warning" not in set(corners.itertext())


def test_what_decided_about_the_choice_steps_stands_on_one_logarithmic_axis(record: Record) -> None:
    steps = record.steps("search")
    places = [0.5 + (k + 0.5) / 4 for k in range(48)]
    svg = monitor_plots.schedule(record, "p") or ""
    for colour, key in zip(LINES, ("gradient_square", "average", "threshold"), strict=False):
        assert_shows(curve(svg, colour, 48), places, [math.log(event["schedule"][key]) for event in steps])
    words = set(ElementTree.fromstring(svg).itertext())
    assert {"gradient square", "average", "threshold"} <= words
    assert not {"taken", "skipped"} & words  # the monitor counts them
    assert "1" in words and not [word for word in words if "$" in word]  # labels of powers of ten are plain numbers


def test_penalties_show_what_they_told(record: Record) -> None:
    words = set(ElementTree.fromstring(monitor_plots.penalties(record, "p") or "").itertext())
    assert {"admm: value", "admm: primal residual"} <= words


def test_weights_name_every_edge_and_candidate(record: Record) -> None:
    svg = choice_plots.weights(record, "normal", "p") or ""
    words = list(ElementTree.fromstring(svg).itertext())
    for target in range(2, 6):
        for source in range(target):
            assert words.count(f"{source} → {target}") == 1
    assert words.count("sep_conv_5x5") == 4 and words.count("none") == 4
    assert svg.count("<image") == 14 + 1  # a map an edge, and the colour bar


def test_names_of_candidates_come_from_the_log_first(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=2)
    text = (run / "log.jsonl").read_text()
    names = {"normal": [f"op{k}" for k in range(8)]}
    first, rest = text.split("\n", 1)
    (run / "log.jsonl").write_text(json.dumps(json.loads(first) | {"operations": names}) + "\n" + rest)
    assert "op7" in (choice_plots.weights(read_record(run), "normal", "p") or "")


@pytest.mark.parametrize(
    ("space", "names"),
    [
        ({"name": "darts", "none": True}, ("none", "dil_conv_5x5")),
        ({"name": "darts", "none": False}, ("candidate 1", "candidate 8")),  # seven names for eight columns
        ({"name": "moon"}, ("candidate 1", "candidate 8")),
        ({"name": "darts", "depth": 9}, ("candidate 1", "candidate 8")),
        ([1], ("candidate 1", "candidate 8")),
    ],
)
def test_names_of_candidates_come_from_the_space_that_was_set(
    tmp_path: Path, space: Any, names: tuple[str, ...]
) -> None:
    run = make_run(tmp_path / "run", epochs=1, space=space)
    words = set(ElementTree.fromstring(choice_plots.weights(read_record(run), "normal", "p") or "").itertext())
    assert set(names) <= words


def test_operations_kept_are_stacked_to_their_number(record: Record) -> None:
    svg = choice_plots.operations(record, "normal", "p") or ""
    words = set(ElementTree.fromstring(svg).itertext())
    kept = {edge[2] for event in record.epochs("search") for edge in event["architecture"]["cells"]["normal"]["edges"]}
    assert kept <= words


@pytest.mark.parametrize("name", PLOTS)
def test_well_formed_repeatable_and_separate(record: Record, name: str) -> None:
    first, again = PLOTS[name](record, "p"), PLOTS[name](record, "p")
    assert first is not None and first == again
    root = ElementTree.fromstring(first)
    identifiers = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert identifiers and all(identifier.startswith("p-") for identifier in identifiers)
    references = re.findall(r'(?:url\(#|href="#)([^)"]+)', first)
    assert set(references) <= set(identifiers)
    assert "#123456" not in first and "currentColor" in first
    assert not re.search(r'(href|src)="(?!#|data:)', first)


def test_a_run_without_events_has_no_pictures(tmp_path: Path) -> None:
    record = Record(tmp_path)
    assert [plot(record, "p") for plot in PLOTS.values()] == [None] * len(PLOTS)


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: json.dumps(junk))
def test_junk_in_a_log_is_no_failure(tmp_path: Path, junk: Any) -> None:
    keys = ["epoch", "loss", "validation", "derived_validation", "weights", "monitor", "architecture", "train_accuracy"]
    keys += ["credit"]
    events = [
        {"event": "epoch", "phase": phase, "epoch": 1, key: junk} for key in keys for phase in ("search", "train")
    ]
    events += [{"event": "epoch", "phase": "search", "epoch": 1} | dict.fromkeys(keys[1:], junk)]
    for key in ("schedule", "penalties"):
        events += [{"event": "step", "step": 1, "epoch": 1, key: value} for value in (junk, {"a": junk, "b": 2.0})]
    for event in events:
        record = Record(tmp_path, events=[event])
        for plot in PLOTS.values():
            svg = plot(record, "p")
            assert svg is None or ElementTree.fromstring(svg) is not None


def test_one_epoch_and_gaps_are_drawn(tmp_path: Path) -> None:
    svg = plots.validation(read_record(make_run(tmp_path / "one", epochs=1)), "p") or ""
    assert svg.count("<use ") > 2  # a point is a dot
    events = [{"event": "epoch", "epoch": k, "loss": "NaN" if k == 3 else 1.0 / k} for k in range(1, 6)]
    svg = plots.losses(Record(tmp_path, events=events), "p") or ""
    assert re.search(r"M \S+ \S+\s+L \S+ \S+\s+M \S+ \S+\s+L \S+ \S+", svg)  # two pieces with a gap between them


def test_what_hardly_changes_looks_flat(tmp_path: Path) -> None:
    events = [{"event": "epoch", "epoch": k, "monitor": {"entropy": 1 - k * 1e-6}} for k in range(5)]
    svg = monitor_plots.monitor(Record(tmp_path, events=events), "p") or ""
    heights = curve(svg, LINES[0], 5)[:, 1]
    assert numpy.ptp(heights) < 0.1  # pixels
    assert max(len(word) for word in ElementTree.fromstring(svg).itertext() if "." in word) <= 6


def test_names_are_taken_literally(record: Record) -> None:
    names = ["$\\frac$ <b>&", "_hidden"]
    words = list(ElementTree.fromstring(plots.comparison([record, record], names, "p") or "").itertext())
    assert names[0] in words and "hidden" in words


def test_a_persons_own_matplotlib_settings_change_nothing(record: Record) -> None:
    import matplotlib

    before = plots.losses(record, "p")
    with matplotlib.rc_context({"lines.linewidth": 9.0, "axes.grid": False, "text.usetex": True}):
        assert plots.losses(record, "p") == before
        assert matplotlib.rcParams["lines.linewidth"] == 9.0


def test_two_figures_share_no_identifier() -> None:
    found = []
    for name in ("a", "b"):
        with style():
            figure, (axes,) = panels(2, 2)
            axes.plot([0, 1], [0, 1])
            found.append(set(re.findall(r' id="([^"]*)"', render(figure, name, "a line"))))
    assert found[0] and not found[0] & found[1]
