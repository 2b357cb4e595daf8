"""Markdown tables have a line of headings, one of alignments, and every cell in its place."""

from __future__ import annotations

from archgrad.reporting.markdown import markdown_table


def test_words_stand_left_and_numbers_right() -> None:
    assert markdown_table([["arm", "of", "runs"], ["darts", "digits", "3"]], words=2).splitlines() == [
        "| arm | of | runs |",
        "| --- | --- | ---: |",
        "| darts | digits | 3 |",
    ]


def test_a_bar_within_a_cell_ends_no_column() -> None:
    assert markdown_table([["arm"], ["a|b"]]).endswith("| a\\|b |")
