"""The project's own files agree with one another: versions, pins, links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from archgrad._version import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS: dict[str, str] = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2].strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
}
EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("needed", PROJECT["dependencies"] + EXTRAS["onnx"] + EXTRAS["dev"])
def test_every_requirement_has_a_pin_inside_its_range(needed: str) -> None:
    requirement = Requirement(needed)
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_pins_are_plain_and_bring_no_gpu_packages() -> None:
    assert all(version and "+" not in version for version in PINS.values())
    assert not [name for name in PINS if "nvidia" in name or "cuda" in name or name == "triton"]


def test_the_makefile_installs_the_pinned_torch() -> None:
    assert re.findall(r"torch==(\S+)", (ROOT / "Makefile").read_text()) == [PINS["torch"]]


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]


def test_the_changelog_has_a_part_for_this_version() -> None:
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / page).read_text())
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "archgrad" / "py.typed").is_file()
