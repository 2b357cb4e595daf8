"""``python -m benchmarks NAME [options]`` runs ``main`` of the file of that name beside this one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Run one benchmark; return the exit code."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if "def main(" in path.read_text())
    if not words or words[0] not in names:
        print(f"Name one of the benchmarks: {', '.join(names)}.", file=sys.stderr)
        return 2
    from archgrad.errors import ArchgradError

    try:
        importlib.import_module(f"benchmarks.{words[0]}").main(words[1:])
    except ArchgradError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
