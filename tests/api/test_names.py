"""The public names: they are there, lazily, and mean what they say whatever was imported before."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import archgrad


@pytest.mark.parametrize("name", dir(archgrad))
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(archgrad, name) is not None


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    importlib.import_module("archgrad.published")
    assert archgrad.published("DARTS_V2").space == "darts"


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="serch"):
        archgrad.serch  # noqa: B018


def test_importing_the_package_and_the_program_imports_nothing_heavy() -> None:
    code = (
        "import sys, archgrad, archgrad.cli.app; heavy = {'torch', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'rich', "
        "'pydantic', 'onnx'} & set(sys.modules); sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
