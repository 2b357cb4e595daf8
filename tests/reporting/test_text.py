"""The cell as lines of text says the same as the file."""

from __future__ import annotations

import pytest
from tests.reporting.cells import HARD, HOSTILE

from archgrad.published import names, published
from archgrad.reporting.text import draw_text


def test_a_published_cell() -> None:
    assert draw_text(published("DARTS_V2")).split("\n\n")[1].splitlines() == [
        "reduce cell: c_k = concat(2, 3, 4, 5)",
        "  c_{k-2} ── max_pool_3x3 ──┐",
        "  c_{k-1} ── max_pool_3x3 ──┴─▶ 2",
        "  c_{k-1} ── max_pool_3x3 ──┐",
        "  2       ── skip_connect ──┴─▶ 3",
        "  c_{k-2} ── max_pool_3x3 ──┐",
        "  2       ── skip_connect ──┴─▶ 4",
        "  c_{k-1} ── max_pool_3x3 ──┐",
        "  2       ── skip_connect ──┴─▶ 5",
    ]


@pytest.mark.parametrize("name", names())
def test_one_line_an_operation_and_aligned(name: str) -> None:
    architecture = published(name)
    for text, cell in zip(draw_text(architecture).split("\n\n"), architecture.cells.values(), strict=True):
        lines = [line for line in text.splitlines()[1:] if "──" in line]
        assert [line.split("── ")[1].split(" ")[0] for line in lines] == [edge.operation for edge in cell.edges]
        assert len({max(line.find(mark) for mark in "┐┤┴▶") for line in lines if "▶" not in line}) <= 1


def test_nodes_without_inputs_are_said() -> None:
    assert "  4: nothing leads here (zeros)" in draw_text(published("SNAS_AGGRESSIVE"))


def test_three_into_one_node_weights_and_operands() -> None:
    lines = draw_text(HARD["every edge, weighted"]).splitlines()
    assert [line[-8:].strip() for line in lines[3:6]] == ["0.14 ──┐", "0.21 ──┤", "0.29 ──┴─▶ 3"[-8:].strip()]
    assert "tanh (b)" in draw_text(HARD["two operands"]) and "▶ 3 (multiply a and b)" in draw_text(HARD["two operands"])


def test_nothing_from_a_file_reaches_the_terminal_as_a_command() -> None:
    text = draw_text(HARD["hostile"])
    assert "\x1b" in HOSTILE and "\x1b" not in text
    text.encode("utf-8")
