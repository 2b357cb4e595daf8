"""The run directory: where everything of one run lies, made once, opened again, and never silently overwritten.

Layout: ``config.yaml  log.jsonl  architecture.json  architecture.svg  checkpoints/  model.safetensors  report.html``;
of a forecaster ``forecasts.json``; once asked for, ``baselines.json`` and ``tracking/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from archgrad.errors import InputError, nearest
from archgrad.runs import writing
from archgrad.runs.config import FORMAT, SearchConfig, from_yaml, to_yaml
from archgrad.runs.log import Log
from archgrad.runs.text import load_yaml

__all__ = ["RunDirectory"]


class RunDirectory:
    """The paths of one run, and writing into it. Make one with :meth:`create` or :meth:`open`.

    Args:
        path: the directory; nothing is touched by naming it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path | str, config: SearchConfig) -> Self:
        """Make the directory of a new run and write its configuration into it.

        Args:
            path: a directory that does not exist, or is empty.
            config: the whole configuration.

        Raises:
            InputError: something is there already, or no directory can be made there.
            RunError: the disk is full.
        """
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            # A crash while config.yaml was being written leaves nothing but its partial file: still empty.
            taken = any(not entry.name.endswith(writing.LEFTOVER) for entry in run.path.iterdir())
        except FileExistsError as error:
            raise InputError(f"{path} is a file; name another directory with --run.") from error
        except OSError as error:
            raise InputError(f"No run can be written to {path}: {error.strerror or error}.") from error
        if taken and run.config.is_file():
            raise InputError(f"There is a run in {path} already; continue it with --resume or name another --run.")
        if taken:
            raise InputError(
                f"{path} is not empty and holds no run; nothing of it was touched. Name another --run. "
                "(--resume continues a run, and there is none.)"
            )
        run.write_text(run.config, to_yaml(config))
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the directory of an earlier run.

        Raises:
            InputError: it is missing, is no run directory, or was made by an archgrad with another format.
        """
        run = cls(path)
        if not run.path.is_dir():
            what = "is a file, not a run directory" if run.path.exists() else "does not exist"
            raise InputError(f"The run {path} {what}.{_neighbours(run.path)}")
        if not run.config.is_file():
            raise InputError(f"{path} is not a run directory: it has no config.yaml.{_neighbours(run.path)}")
        document = load_yaml(_read(run.config), str(run.config))
        if not isinstance(document, dict) or "format" not in document:
            raise InputError(f"{path} is not a run directory: its config.yaml was not written by archgrad.")
        if document["format"] != FORMAT:
            raise InputError(
                f"The run {path} has format {document['format']!r}, written by archgrad "
                f"{document.get('version', '(unknown)')}; this one reads format {FORMAT}. "
                "Open it with that version, or search again."
            )
        return run

    @property
    def config(self) -> Path:
        """``config.yaml``: everything that reproduces the run."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """``log.jsonl``: one event a line, see :class:`~archgrad.runs.log.Log`."""
        return self.path / "log.jsonl"

    @property
    def architecture(self) -> Path:
        """``architecture.json``: the cell that was found."""
        return self.path / "architecture.json"

    @property
    def drawing(self) -> Path:
        """``architecture.svg``: its picture."""
        return self.path / "architecture.svg"

    @property
    def checkpoints(self) -> Path:
        """``checkpoints/``: one folder each, see :mod:`~archgrad.runs.checkpoint`."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """``model.safetensors``: the trained derived network."""
        return self.path / "model.safetensors"

    @property
    def forecasts(self) -> Path:
        """``forecasts.json``: what the report shows of a forecaster, written when its training is measured."""
        return self.path / "forecasts.json"

    @property
    def baselines(self) -> Path:
        """``baselines.json``: what the trained network was compared with by :func:`archgrad.baselines`."""
        return self.path / "baselines.json"

    @property
    def tracking(self) -> Path:
        """``tracking/``: what experiment trackers keep here, see :mod:`~archgrad.api.tracking`."""
        return self.path / "tracking"

    @property
    def report(self) -> Path:
        """``report.html``."""
        return self.path / "report.html"

    def read_config(self) -> SearchConfig:
        """Return the run's configuration.

        Raises:
            InputError: it was edited so that it is no longer right; all problems are listed.
        """
        return from_yaml(_read(self.config), str(self.config))

    def open_log(self) -> Log:
        """Return the run's log, ready for appending."""
        return Log(self.log)

    def write_bytes(self, path: Path | str, data: bytes) -> Path:
        """Write a file of the run so that a crash leaves the old one or the new one, never half of it.

        Args:
            path: one of the paths above, or a name within the directory.
            data: the whole content.

        Returns:
            The file's path.

        Raises:
            RunError: the disk is full or the file cannot be written; what was there is intact.
        """
        # The paths above hold the run's own, and a relative one joined to itself would lead elsewhere.
        target = Path(path) if Path(path).is_relative_to(self.path) else self.path / path
        writing.write_atomically(target, data)
        return target

    def write_text(self, path: Path | str, text: str) -> Path:
        """Write text as UTF-8, see :meth:`write_bytes`."""
        return self.write_bytes(path, text.encode())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}.") from error


def _neighbours(path: Path) -> str:
    """Suggest a run directory with a similar name."""
    try:
        around = [entry.name for entry in path.parent.iterdir() if (entry / "config.yaml").is_file()]
    except OSError:
        return ""
    match = nearest(path.name, around)
    return f" Did you mean {path.parent / match}?" if match else ""
