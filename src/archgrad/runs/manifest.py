"""The manifest of a checkpoint: size and SHA-256 of each file, and reading files only after comparing them with it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from archgrad.errors import RunError

__all__ = ["FORMAT", "MANIFEST", "Manifest", "damaged", "encode", "read_json", "read_manifest", "verified", "write"]

FORMAT = 1
"""Version of the checkpoint's layout; one with another number is not read."""

MANIFEST = "manifest.json"

Manifest = dict[str, dict[str, Any]]
"""File name -> ``{"size": bytes, "sha256": hex}``."""


def encode(document: Any) -> bytes:
    """Return a document as compact JSON."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def write(path: Path, data: bytes) -> dict[str, Any]:
    """Write a file through to the disk and return its entry in the manifest.

    Raises:
        OSError: it could not be written.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def damaged(folder: Path, file: str, why: str) -> RunError:
    """Build the error that names a damaged checkpoint and the file in it."""
    return RunError(f"Checkpoint {folder} is damaged: {file} {why}.")


def read_manifest(folder: Path) -> Manifest:
    """Return a checkpoint's manifest.

    Raises:
        RunError: it is missing, truncated or of another format.
    """
    files = read_json(folder, MANIFEST, _read(folder, MANIFEST)).get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise damaged(folder, MANIFEST, "lists no files")
    return files


def verified(folder: Path, manifest: Manifest, file: str) -> bytes:
    """Return a file's bytes, the very ones that were compared with the manifest.

    Raises:
        RunError: the file is missing, or has another size or content than the manifest says.
    """
    entry = manifest.get(file)
    if entry is None:
        raise damaged(folder, MANIFEST, f"does not list {file}")
    data = _read(folder, file)
    if len(data) != entry.get("size"):
        raise damaged(folder, file, f"has {len(data)} bytes instead of {entry.get('size')}")
    if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
        raise damaged(folder, file, "has other content than was written")
    return data


def read_json(folder: Path, file: str, data: bytes) -> dict[str, Any]:
    """Return the JSON object in a file's bytes.

    Raises:
        RunError: it is no JSON object, or of another format.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(folder, file, "is truncated or no JSON") from error
    if not isinstance(document, dict):
        raise damaged(folder, file, "holds no JSON object")
    if document.get("format") != FORMAT:
        raise damaged(folder, file, f"has format {document.get('format')!r}, and this archgrad reads format {FORMAT}")
    return document


def _read(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except FileNotFoundError as error:
        raise damaged(folder, file, "is missing") from error
    except OSError as error:
        raise damaged(folder, file, f"cannot be read ({error.strerror or error})") from error
