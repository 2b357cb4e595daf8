"""Where the report goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.reporting.runs import make_run

import archgrad


def test_one_run_keeps_its_own_report(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", epochs=2)
    assert archgrad.report(run) == run / "report.html"
    assert archgrad.report([str(run)]) == run / "report.html"
    assert "normal" in (run / "report.html").read_text()


def test_several_runs_get_a_page_beside_them(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, epochs=2) for name in "ab"]
    assert archgrad.report(runs) == tmp_path / "report.html"
    assert not (runs[0] / "report.html").exists()
    assert archgrad.report(runs, tmp_path / "pages" / "both.html") == tmp_path / "pages" / "both.html"


def test_no_run_is_said() -> None:
    with pytest.raises(archgrad.InputError, match="at least one run"):
        archgrad.report([])
