"""Writing files so that whatever happens, either the old content or the new one is there, and saying why it failed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archgrad.errors import RunError

__all__ = ["LEFTOVER", "readable_size", "sync_folder", "write_atomically", "writing"]

LEFTOVER = ".partial"
"""How the name of everything ends that is still being written; after a crash such a name may be deleted."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def readable_size(size: int) -> str:
    """Return a number of bytes as people read it: ``1536`` -> ``"1.5 KiB"``."""
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


@contextmanager
def writing(path: Path, needed: int) -> Iterator[None]:
    """Turn a failure to write into a message that says which file, why, and that what was there is intact.

    Args:
        path: the file or folder that is being written; nothing under this name may have been touched on failure.
        needed: bytes it takes.

    Raises:
        RunError: in place of any :class:`OSError` from the body.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise RunError(
                f"{path} could not be written: {error.strerror or error}. What was there before is intact."
            ) from error
        raise RunError(f"The disk is full: {path} was not written. {_missing(path, needed)}") from error


def _missing(path: Path, needed: int) -> str:
    """Say how much space is missing, when the file system tells it truly."""
    intact = "What was there before is intact: free some space, then continue the run with --resume."
    folder = next((parent for parent in path.absolute().parents if parent.exists()), None)
    missing = needed - shutil.disk_usage(folder).free if folder else 0
    # A quota or reserved blocks make a disk full while it reports free space: then only the need is known.
    amount = f"{readable_size(missing)} are missing" if missing > 0 else "it reports free space, so mind quotas"
    return f"It takes {readable_size(needed)}; {amount}. {intact}"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file aside, force it to the disk, and rename it into place.

    Raises:
        RunError: it could not be written; a file that was there before is as it was.
    """
    aside = path.with_name(f".{path.name}{LEFTOVER}")
    with writing(path, len(data)):
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
            sync_folder(path.parent)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse to sync a folder; their rename is as durable as it gets.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
