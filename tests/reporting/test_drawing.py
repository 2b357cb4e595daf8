"""The drawing is one well-formed, self-contained SVG with the same bytes each time, and shows every operation."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import pytest
from tests.reporting.cells import HARD, HOSTILE

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.published import names, published
from archgrad.reporting.drawing import LISTED, draw_cell, draw_svg
from archgrad.reporting.layout import LARGEST
from archgrad.reporting.notation import COLOURS, INK, kind_of, printable, shorten

ARCHITECTURES = {name: published(name) for name in names()} | HARD
SVG = "{http://www.w3.org/2000/svg}"


def labels_of(root: ElementTree.Element) -> list[str]:
    """Return the text of every group that has a tooltip naming a connection."""
    found = []
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None and " to " in (title.text or ""):
            found.append("".join(text.text or "" for text in group.findall(f"{SVG}text")))
    return found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_operation_is_written_once(name: str) -> None:
    architecture = ARCHITECTURES[name]
    written = [re.split(r" [(×]", label)[0] for label in labels_of(ElementTree.fromstring(draw_svg(architecture)))]
    edges = [edge for cell in architecture.cells.values() for edge in cell.edges]
    assert Counter(written) == Counter(printable(shorten(edge.operation)) for edge in edges)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tooltips_name_both_ends(name: str) -> None:
    architecture = ARCHITECTURES[name]
    titles = [title.text for title in ElementTree.fromstring(draw_svg(architecture)).iter(f"{SVG}title")]
    for kind, cell in architecture.cells.items():
        for edge in cell.edges:
            ending = f" to {edge.target}: {printable(edge.operation)}"
            assert any(title and title.endswith(ending) for title in titles), (kind, edge)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_self_contained_and_free_of_identifiers(name: str) -> None:
    # No id: two drawings in one page cannot disturb each other. No href, style, script or font file: nothing to fetch.
    root = ElementTree.fromstring(draw_svg(ARCHITECTURES[name]))
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in {"svg", "g", "path", "rect", "text", "tspan", "title"}
        assert not {"id", "style", "class"} & set(element.attrib)
        assert not [key for key in element.attrib if "href" in key or key.startswith("on")]
        assert not any("url(" in value for value in element.attrib.values())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_all_shapes_are_inside(name: str) -> None:
    text = draw_svg(ARCHITECTURES[name])
    root = ElementTree.fromstring(text)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"

    def walk(element: ElementTree.Element, x: float, y: float) -> None:
        shift = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
        if shift:
            x, y = x + float(shift[1]), y + float(shift[2])
        if element.tag == f"{SVG}rect":
            left, top = x + float(element.attrib["x"]), y + float(element.attrib["y"])
            assert left >= 0 and left + float(element.attrib["width"]) <= width
            assert top >= 0 and top + float(element.attrib["height"]) <= height
        if element.tag == f"{SVG}text":
            assert 0 <= y + float(element.attrib["y"]) <= height
        for child in element:
            walk(child, x, y)

    walk(root, 0.0, 0.0)


def test_the_same_bytes_in_another_process() -> None:
    code = (
        "from archgrad.published import names, published; from archgrad.reporting.drawing import draw_svg;"
        "print(''.join(draw_svg(published(name)) for name in names()), end='')"
    )
    here = "".join(draw_svg(published(name)) for name in names())
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": "src", "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        )
        assert result.stdout.decode() == here


def test_hostile_names_are_only_text() -> None:
    text = draw_svg(HARD["hostile"])
    assert "<script" not in text and "<b>" not in text
    assert "\x1b" not in text
    text.encode("utf-8")
    assert any("<script>alert" in label for label in labels_of(ElementTree.fromstring(text)))
    assert printable(HOSTILE).count("\ufffd") == 2


def test_an_unreached_node_is_hollow_and_says_why() -> None:
    text = draw_svg(published("SNAS_AGGRESSIVE"))
    assert text.count("no operation leads here") == 2
    assert "no operation leads here" not in draw_svg(published("DARTS_V2"))


def test_inputs_and_output_carry_the_papers_names() -> None:
    def words(architecture: Architecture) -> set[str]:
        return {"".join(text.itertext()) for text in ElementTree.fromstring(draw_svg(architecture)).iter(f"{SVG}text")}

    assert {"ck−2", "ck−1", "ck", "concat", "normal cell", "reduce cell"} <= words(published("DARTS_V2"))
    assert {"xt, ht−1", "ht", "mean"} <= words(published("DARTS_RNN_V2"))
    assert {"xt", "ht−1", "3 ×", "4 +", "learned"} <= words(HARD["two operands"])


def test_one_cell_alone() -> None:
    labels = labels_of(ElementTree.fromstring(draw_cell(published("DARTS_V2"), "reduce")))
    assert Counter(labels) == {"max_pool_3x3": 5, "skip_connect": 3}


@pytest.mark.parametrize("count", [LARGEST + 1, 2 * LISTED])
def test_a_cell_too_large_for_a_picture_is_listed(count: int) -> None:
    edges = tuple(Edge(k % 2, 2 + k % 3, "tanh" if k % 2 else "relu") for k in range(count))
    root = ElementTree.fromstring(draw_svg(Architecture("mine", {"recurrent": Cell(2, 3, edges, (2, 3, 4))})))
    lines = [str(span.text) for span in root.iter(f"{SVG}tspan")]
    operations = [line for line in lines if "──" in line]
    assert len(operations) == min(count, LISTED)
    assert {word for line in operations for word in ("tanh", "relu") if word in line} == {"tanh", "relu"}
    assert ("more lines" in lines[-1]) == (count > LISTED)
    assert float(root.attrib["height"]) > 16 * len(lines)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("sep_conv_3x3", "convolution"),
        ("conv_7x1_1x7", "convolution"),
        ("avg_pool_3x3", "pooling"),
        ("skip_connect", "skip"),
        ("identity", "skip"),
        ("tanh", "activation"),
        ("none", "none"),
        ("attention", "other"),
    ],
)
def test_kinds(operation: str, kind: str) -> None:
    assert kind_of(operation) == kind


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
def test_readable_on_light_and_dark(page: str) -> None:
    # WCAG 2.1: 4.5 for letters (AA), 3 for graphics and large letters.
    for colour in COLOURS.values():
        assert _contrast("#ffffff", colour) >= 4.5
        assert _contrast(page, colour) >= 3
    assert _contrast(page, INK) >= 4
