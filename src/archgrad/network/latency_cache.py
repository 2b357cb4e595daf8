"""Where measured milliseconds are kept: one JSON file per device, torch version and number of threads."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["LatencyCache", "cache_folder", "device_name"]

FORMAT = 1


def cache_folder() -> Path:
    """Return the folder of what can be measured again: ``ARCHGRAD_CACHE``, or the platform's own place for caches."""
    chosen = os.environ.get("ARCHGRAD_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "archgrad"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "archgrad" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archgrad"


def device_name(device: torch.device) -> str:
    """Return the maker's name of a device; another device has other latencies."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    name = named[1].strip() if named else platform.processor() or platform.machine()
    return name if device.type == "cpu" else f"{device.type} {name}"


class LatencyCache:
    """Milliseconds by key, for one device.

    A file that cannot be read is ignored with a warning and written anew; where nothing can be written, what was
    measured lasts as long as the process.

    Args:
        device: where it was measured.
        folder: of the file; :func:`cache_folder` when None.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        self.about = {"device": device_name(device), "torch": torch.__version__, "threads": torch.get_num_threads()}
        name = f"latency {self.about['device']} torch {self.about['torch']} threads {self.about['threads']}"
        self.path = (folder or cache_folder()) / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-').lower()}.json"
        self.milliseconds = self._read()

    def add(self, new: Mapping[str, float]) -> None:
        """Keep new measurements, beside those that other processes have written in the meantime."""
        self.milliseconds = self._read() | self.milliseconds | dict(new)
        content = {"format": FORMAT, **self.about, "milliseconds": dict(sorted(self.milliseconds.items()))}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            warnings.warn(
                f"Measured latencies could not be kept in {self.path} ({error.strerror or error}); they will be "
                "measured again next time. The environment variable ARCHGRAD_CACHE names another folder.",
                stacklevel=2,
            )

    def _read(self) -> dict[str, float]:
        """Return what the file holds; nothing if it is missing, damaged or of another device."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            _check(content, self.about)
            return {str(key): float(value) for key, value in content["milliseconds"].items()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            warnings.warn(
                f"The measured latencies in {self.path} cannot be used ({error}); they are measured again.",
                stacklevel=3,
            )
            return {}


def _check(content: Any, about: Mapping[str, Any]) -> None:
    """Raise ValueError unless a file's content is what this version would have written for this device."""
    if not isinstance(content, dict) or {**about, "format": FORMAT}.items() - _flat(content).items():
        raise ValueError("it was not written for this device by this version")
    times = content.get("milliseconds")
    if not isinstance(times, dict) or not all(
        type(ms) is float and math.isfinite(ms) and ms >= 0 for ms in times.values()
    ):
        raise ValueError("its milliseconds are no table of numbers")


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if isinstance(value, str | int)}


def _replace(path: Path, text: str) -> None:
    """Write a file aside under a name of its own and rename it into place: several processes may do so at once."""
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
