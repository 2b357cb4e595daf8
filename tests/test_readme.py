"""What the README and the guide show is run as it stands there: Python blocks in order, then the commands."""

from __future__ import annotations

import copy
import json
import pkgutil
import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from archgrad import registry
from archgrad.cli import main
from archgrad.network.modules import COSTS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """What a page declares is gone after it; other modules hold this very dictionary."""
    before = dict(COSTS)
    yield
    COSTS.clear()
    COSTS.update(before)


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize("page", pages_with("python"), ids=name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "PARTS", copy.deepcopy(registry.PARTS))
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{name(page)}, Python block {number}", "exec"), module.__dict__)


@pytest.mark.parametrize("page", pages_with("console"), ids=name)
def test_commands_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ (.+)$", "\n".join(blocks(page, "console")), flags=re.MULTILINE)
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "archgrad"
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert left.value.code == 0, f"{command}\n{shown.out}\n{shown.err}"


def test_the_readme_names_the_two_commands_that_there_are() -> None:
    promised = re.findall(r"^    make (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    targets = re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert promised == ["demo", "test"]
    assert set(promised) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_name_of_the_package_on_a_page_exists(page: Path) -> None:
    for dotted in re.findall(r"`(archgrad(?:\.\w+)+)", page.read_text()):
        pkgutil.resolve_name(dotted)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_json_and_yaml_blocks_parse(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)
    for block in blocks(page, "yaml"):
        yaml.safe_load(block)
