"""What goes to stdout and how figures are written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from archgrad.cli.output import amount, kept_clean, mebibytes, metrics_words, print_facts, print_json, print_table, say


def test_json_is_one_line_that_any_reader_takes(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1, 2.5, float("inf")], "run": Path("x"), "d": {3: None}, "c": {"ü": True}})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"a": None, "b": [1, 2.5, None], "run": "x", "d": {"3": None}, "c": {"ü": True}}


def test_what_a_library_prints_does_not_get_between(capsys: pytest.CaptureFixture[str]) -> None:
    with kept_clean(True):
        print("noise")
    print_json({})
    with kept_clean(False):
        print("text")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("{}\ntext\n", "noise\n")


def test_only_the_first_of_several_processes_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    print_json({"a": 1})
    say("text")
    print_facts({"a": "b"})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "text"), [(1930618, "1,930,618"), (0.97312, "0.9731"), (12345.6, "12,346"), (None, "-"), (0, "0")]
)
def test_amounts(value: float | None, text: str) -> None:
    assert amount(value) == text


def test_memory_and_metrics() -> None:
    assert (mebibytes(0.06), mebibytes(1234.5)) == ("0.1 MiB", "1,234 MiB")
    assert metrics_words({"loss": 0.09123, "accuracy": 0.9731}) == "accuracy 97.3 %, loss 0.09123"


def test_a_table_shows_what_it_is_given_and_reads_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "value"), [("a[b]", "[red]1"), ("c", "22")], right=(1,))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "value"]
    assert [line.split() for line in lines[2:]] == [["a[b]", "[red]1"], ["c", "22"]]
    print_facts({"what": "it is"})
    assert capsys.readouterr().out.split() == ["what", "it", "is"]
    assert sys.stdout.isatty() is False
