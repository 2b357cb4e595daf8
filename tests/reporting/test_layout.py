"""The layout promises room: nothing covers anything else, and lines pass boxes in lanes of their own."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.cells import HARD

from archgrad.architecture import Cell, Edge
from archgrad.published import names, published
from archgrad.reporting.layout import LARGEST, fits_a_picture, lay_out
from archgrad.reporting.notation import edge_labels
from archgrad.reporting.places import Layout

ARCHITECTURES = {name: published(name) for name in names()} | HARD
CELLS = [(name, kind) for name, architecture in ARCHITECTURES.items() for kind in architecture.cells]


def layout_of(cell: Cell) -> Layout:
    return lay_out(cell, edge_labels(cell), [str(node) for node in range(cell.inputs + cell.nodes + 1)])


def check(cell: Cell) -> None:
    layout = layout_of(cell)
    solid = [box for box in layout.boxes if box.height > 10]
    for a, b in combinations(solid, 2):
        apart = a.right <= b.left or b.right <= a.left or abs(a.y - b.y) >= (a.height + b.height) / 2
        assert apart, (a, b)
    for box in layout.boxes:
        assert -0.1 <= box.left and box.right <= layout.width + 0.1
        assert -0.1 <= box.y - box.height / 2 and box.y + box.height / 2 <= layout.height + 0.1
    for path in layout.paths:
        # Between two columns nothing stands, and within one the line keeps to its own box: so no line crosses a label.
        columns = [layout.boxes[k].column for k in path.boxes]
        assert columns == list(range(columns[0], columns[-1] + 1))
        for first, second in pairwise(path.boxes):
            assert layout.boxes[first].right < layout.boxes[second].left
    for column in layout.columns:
        for upper, lower in pairwise(layout.boxes[k] for k in column):
            assert lower.y - upper.y - (upper.height + lower.height) / 2 > 8


@pytest.mark.parametrize(("name", "kind"), CELLS)
def test_no_label_covers_another_or_a_line(name: str, kind: str) -> None:
    check(ARCHITECTURES[name].cells[kind])


@given(st.integers(1, 3), st.integers(1, 6), st.data())
def test_any_cell_has_room(inputs: int, nodes: int, data: st.DataObject) -> None:
    pairs = [(s, t) for t in range(inputs, inputs + nodes) for s in range(t)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), max_size=20))
    edges = tuple(Edge(s, t, "sep_conv_3x3") for s, t in sorted(chosen, key=lambda pair: (pair[1], pair[0])))
    check(Cell(inputs, nodes, edges, tuple(range(inputs, inputs + nodes))))


@pytest.mark.parametrize(("name", "kind"), CELLS)
def test_paths_are_the_edges_and_the_output(name: str, kind: str) -> None:
    cell = ARCHITECTURES[name].cells[kind]
    layout = layout_of(cell)
    ends = [(layout.nodes.index(path.boxes[0]), layout.nodes.index(path.boxes[-1])) for path in layout.paths]
    output = cell.inputs + cell.nodes
    assert ends == [(e.source, e.target) for e in cell.edges] + [(node, output) for node in cell.output]
    assert [path.edge for path in layout.paths] == [*range(len(cell.edges)), *[None] * len(cell.output)]


def test_inputs_keep_their_order() -> None:
    for architecture in ARCHITECTURES.values():
        for cell in architecture.cells.values():
            layout = layout_of(cell)
            heights = [layout.boxes[k].y for k in layout.nodes[: cell.inputs]]
            assert heights == sorted(heights)


def test_no_line_crosses_where_none_needs_to() -> None:
    # A tree drawn in any order but its own would cross itself.
    cell = Cell(2, 4, (Edge(1, 2, "tanh"), Edge(0, 3, "tanh"), Edge(1, 4, "tanh"), Edge(0, 5, "tanh")), (5,))
    layout = layout_of(cell)
    height = {node: layout.boxes[layout.nodes[node]].y for node in range(6)}
    assert max(height[3], height[5]) < min(height[2], height[4])


def test_what_has_more_edges_or_nodes_fits_no_picture() -> None:
    edges = tuple(Edge(0, 2, "tanh") for _ in range(LARGEST + 1))
    assert fits_a_picture(Cell(2, 1, edges[:LARGEST], (2,))) and not fits_a_picture(Cell(2, 1, edges, (2,)))
    assert not fits_a_picture(Cell(2, LARGEST + 1, edges[:1], (2,)))
