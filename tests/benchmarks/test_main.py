"""A benchmark that cannot be run says why, and does not show where it gave up."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.__main__ import main
from benchmarks.variants import child

from archgrad.errors import InputError


def test_an_unknown_name_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert "factors" in capsys.readouterr().err


def test_bad_input_ends_with_its_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["factors", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert "archgrad compare --run" in printed
    assert "Traceback" not in printed


def test_a_variant_that_fails_in_its_process_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="'fast' failed"):
        child("recurrent", "fast", ["--steps", "many"])
    assert "invalid int value: 'many'" in capfd.readouterr().err
