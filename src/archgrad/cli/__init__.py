"""The command line: one file a verb; it only calls the public functions and shows what they return."""

from __future__ import annotations

import os

__all__ = ["main"]


def main() -> None:
    """Run the program ``archgrad``; ``python -m archgrad`` is the same."""
    # Before torch is imported, because OpenMP reads it once. By default its threads wait actively for the next piece
    # of work; where other programs use the same cores that made small operations 20 times slower (measured).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from archgrad.cli.app import app

    app()
